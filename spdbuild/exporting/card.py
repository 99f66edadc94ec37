"""What a program must know to use an exported file: facts by name, which go into the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spdbuild import __version__
from spdbuild.data.augment.normalize import Normalize
from spdbuild.data.letterbox import FILL
from spdbuild.exporting.network import DETECTIONS, LOGITS, TrainedNetwork, head_of_graph
from spdbuild.training.recipe.sections import plain
from spdbuild.weights import file_sha256
from spdbuild.weights.facts import Facts

_MEANINGS = {
    DETECTIONS: "[N, boxes, 5 + classes]: x and y of the centre, width and height in pixels of the input; probability "
    "of an object; probability of each class. The score is the product of both; overlaps are not suppressed.",
    LOGITS: "[N, classes]: before the softmax.",
}
_MAP = "[N, anchors, rows, columns, 5 + classes]: what the head gives for a level, not decoded."


def card_of(network: TrainedNetwork, outputs: Sequence[str], cell: tuple[int, int] | None = None) -> dict[str, Any]:
    """Everything about a network that its file should say: texts, and data that JSON can hold.

    spdbuild, architecture, task, inputs (shapes without the batch), cell (what heights and widths are multiples of,
    where they may differ from those of `inputs`), outputs (what each means), classes, preprocess
    (what is done to an image, in order), weights, weights_sha256. What is not known is left out.
    """
    facts = Facts.of(network.weights)
    known: dict[str, Any] = {
        "task": _task(network, outputs),
        "inputs": {node.name: list(node.shape) for node in network.graph.inputs},
        "cell": list(cell or ()),
        "outputs": _meanings(network, outputs),
        "classes": list(facts.classes or facts.names),
        "preprocess": _preprocess(network, facts),
    }
    return {
        "spdbuild": __version__,
        "architecture": network.graph.name,
        **{name: fact for name, fact in known.items() if fact},
        "weights": network.weights.name,
        "weights_sha256": file_sha256(network.weights),
    }


def _task(network: TrainedNetwork, outputs: Sequence[str]) -> str:
    if network.recipe is not None:
        return network.recipe.task.name
    if head_of_graph(network.graph) is not None:
        return "detection"
    return "classification" if tuple(outputs) == (LOGITS,) else ""


def _meanings(network: TrainedNetwork, outputs: Sequence[str]) -> Mapping[str, str]:
    other = _MAP if head_of_graph(network.graph) is not None else ""
    told = {name: _MEANINGS.get(name, other) for name in outputs}
    return {name: meaning for name, meaning in told.items() if meaning}


def _preprocess(network: TrainedNetwork, facts: Facts) -> list[Any]:
    """What turns an RGB image of bytes into the input; empty where only a recipe could tell."""
    divided = {"name": "divide", "by": 255}
    if head_of_graph(network.graph) is not None:
        return [{"name": "letterbox", "fill": FILL}, divided]
    if network.recipe is None:
        return []
    how = getattr(network.recipe.data, "resize", "squash")
    resize = {"name": "resize", "how": how, "size": _image_size(network, facts)}
    return [resize, divided, *map(_step, network.recipe.preprocess)]


def _image_size(network: TrainedNetwork, facts: Facts) -> list[int]:
    """Height and width of an image before the recipe's `preprocess`; its steps keep another input's size."""
    shape = list(network.graph.inputs[0].shape)
    before, behind = list(facts.size), list(facts.input)
    return list(before) if before and behind == shape else shape[1:]


def _step(step: Any) -> dict[str, Any]:
    if isinstance(step, Normalize):
        # A reader of the file has our names of statistics nowhere.
        mean, std = step.constants()
        return {"name": "normalize", "mean": list(mean), "std": list(std)}
    described: dict[str, Any] = plain(step)
    return described
