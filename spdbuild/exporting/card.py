"""What a program must know to use an exported file: facts by name, which are stored in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import lcm
from typing import Any

import torch

from spdbuild import __version__
from spdbuild.boxes.tiling import MARGIN, MAX_COVERED
from spdbuild.data.augment.normalize import Normalize
from spdbuild.data.detection.loader import MULTIPLE
from spdbuild.data.letterbox import FILL
from spdbuild.exporting.limits import Precision
from spdbuild.exporting.network import DETECTIONS, LOGITS, head_of_graph
from spdbuild.exporting.suppression import BOXES, COUNT, LABELS, NO_LABEL, SCORES
from spdbuild.metrics.nms import NmsOptions
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.views import ViewOptions
from spdbuild.training.recipe.sections import plain
from spdbuild.training.tasks.detection import Detection
from spdbuild.training.trained.stored_graph import StoredGraph
from spdbuild.training.views import FlipOptions
from spdbuild.weights import StoredWeights, file_sha256
from spdbuild.weights.facts import Facts

_MEANINGS = {
    DETECTIONS: "[N, boxes, 5 + classes]: x and y of the centre, width and height in pixels of the input; probability "
    "of an object; probability of each class. The score is the product of both; overlaps are not suppressed.",
    LOGITS: "[N, classes]: before the softmax.",
    COUNT: "[N]: how many boxes are left of an image.",
    BOXES: "[N, places, 4]: left, top, right and bottom in pixels of the input, the best first; zeros behind the last.",
    SCORES: "[N, places]: probability of an object times that of its class; zeros behind the last.",
    LABELS: f"[N, places]: position in `classes`; {NO_LABEL} behind the last.",
}
_FILTER = "bilinear, antialiased"
_MAP = (
    "[N, anchors, rows, columns, 5 + classes]: what the head gives for a level, not decoded. With s the logistic "
    "function 1 / (1 + exp(-v)) of a value, and anchor and stride those of the level in `head`, in pixels of the "
    "input: centre x = (2 s - 0.5 + column) stride, centre y = (2 s - 0.5 + row) stride, width = (2 s)^2 anchor "
    "width, height = (2 s)^2 anchor height; probability of an object and of each class = s."
)
_MERGING = (
    "Each tile is cut from the image in its file, prepared as `preprocess` says, and its boxes are moved to where it "
    "lies. A box that ends within `margin` pixels of a border at which its tile was cut goes if a box of its class "
    "that does not covers more than `max_covered` of it. Then, class by class, of two boxes that overlap by more than "
    "`max_iou` the one with the lower score goes."
)


def card_of(
    network: StoredGraph,
    weights: StoredWeights | None,
    outputs: Sequence[str],
    cell: tuple[int, int] | None = None,
    head: Detect | None = None,
    precision: Precision = "fp32",
    nms: NmsOptions | None = None,
) -> dict[str, Any]:
    """Everything about a network that its file should say: texts, and data that JSON can hold.

    spdbuild, architecture, task, precision (of weights and layers), inputs (shapes without the batch), cell (what
    heights and widths are multiples of, where they may differ from those of `inputs`), outputs (what each means), head
    (strides, and anchors [L, A, 2], in pixels), classes, channels (their order), preprocess (what is done to an image,
    in order), tta (views of an image that a run merges, where the file looks at one), tiles (how large images are
    looked at), selection (which boxes a run counts and shows), nms (which boxes the file keeps), weights,
    weights_sha256, weights_key and weights_prefix (where in that file they were). What is not known is left out.

    weights: the file that they are from, if there is one, with the key and the prefix under which they were found.
    head: the one whose maps are output without decoding.
    """
    facts = (Facts() if weights is None else Facts.of(weights)).or_else(network.of_run)
    preprocess = _preprocess(network, facts, cell)
    known: dict[str, Any] = {
        "task": _task(network, outputs),
        "precision": precision,
        "inputs": {node.name: list(node.shape) for node in network.graph.inputs},
        "cell": list(cell or ()),
        "outputs": _meanings(network, outputs),
        "head": _head(head) if head else None,
        "classes": list(facts.classes or facts.names),
        "channels": "RGB" if preprocess else "",
        "preprocess": preprocess,
        **_answers(network),
        "nms": asdict(nms) if nms else None,
    }
    return {
        "spdbuild": __version__,
        "architecture": network.graph.name,
        **{name: fact for name, fact in known.items() if fact},
        **({} if weights is None else _origin(weights)),
    }


def _origin(weights: StoredWeights) -> dict[str, Any]:
    where = {"weights_key": weights.key, "weights_prefix": weights.prefix}
    told = {name: fact for name, fact in where.items() if fact}
    return {"weights": weights.path.name, "weights_sha256": file_sha256(weights.path), **told}


def _task(network: StoredGraph, outputs: Sequence[str]) -> str:
    if network.recipe is not None:
        return network.recipe.task.name
    if head_of_graph(network.graph) is not None:
        return "detection"
    return "classification" if tuple(outputs) == (LOGITS,) else ""


def _meanings(network: StoredGraph, outputs: Sequence[str]) -> Mapping[str, str]:
    other = _MAP if head_of_graph(network.graph) is not None else ""
    told = {name: _MEANINGS.get(name, other) for name in outputs}
    return {name: meaning for name, meaning in told.items() if meaning}


def _head(head: Detect) -> dict[str, Any]:
    strides = torch.tensor(head.strides).view(-1, 1, 1)
    return {"strides": list(head.strides), "anchors": (head.anchors.cpu() * strides).tolist()}


def _answers(network: StoredGraph) -> dict[str, Any]:
    """How a run turns what its network gives into its answer: views that are merged, and a detector's boxes."""
    if network.recipe is None:
        return {}
    task = network.recipe.task
    # An exported network looks at each image once; whoever runs the file can give it the other views.
    tta = getattr(task, "tta", FlipOptions())
    views = {} if tta in (FlipOptions(), ViewOptions()) else {"tta": asdict(tta)}
    if not isinstance(task, Detection):
        return views
    judged, shown = (asdict(options) for options in (task.evaluation.nms, task.seeing.nms))
    found: dict[str, Any] = {**views, "selection": {"evaluation": judged, "predict": shown}}
    if task.tiles.size is not None:
        merging = {"rule": _MERGING, "margin": MARGIN, "max_covered": MAX_COVERED, "max_iou": judged["max_iou"]}
        sizes = {"size": task.tiles.size, "overlap": task.tiles.overlap, "whole": task.tiles.whole}
        found["tiles"] = {**sizes, "merging": merging}
    return found


def _preprocess(network: StoredGraph, facts: Facts, cell: tuple[int, int] | None) -> list[Any]:
    """The steps from an RGB image of bytes to the input; empty if only a recipe could tell.

    cell: what heights and widths are multiples of, if they may differ.
    """
    levels = getattr(network.recipe.data, "levels", None) if network.recipe else None
    scaled = [{"name": "levels", "black": levels[0], "white": levels[1]}] if levels else []
    divided = {"name": "divide", "by": 255}
    if head_of_graph(network.graph) is not None:
        letterbox = {"name": "letterbox", "fill": FILL, "at": "centre", "enlarge": True, "filter": _FILTER}
        # As `spdbuild predict` does, which a file for one size cannot.
        smaller = {"multiple": lcm(MULTIPLE, *cell)} if cell else {}
        return [*scaled, letterbox | smaller, divided]
    if network.recipe is None:
        return []
    how = getattr(network.recipe.data, "resize", "squash")
    resize = {"name": "resize", "how": how, "size": _image_size(network, facts), "filter": _FILTER}
    filled = {"fill": 0} if how == "pad" else {}
    steps = network.recipe.preprocess
    # Pixels stay bytes until the first step that needs other numbers.
    first = next((place for place, step in enumerate(steps) if isinstance(step, Normalize)), len(steps))
    return [*scaled, resize | filled, *map(_step, steps[:first]), divided, *map(_step, steps[first:])]


def _image_size(network: StoredGraph, facts: Facts) -> list[int]:
    """Height and width of an image before the recipe's `preprocess`; its steps keep another input's size."""
    shape = list(network.graph.inputs[0].shape)
    before, behind = list(facts.size), list(facts.input)
    return list(before) if before and behind == shape else shape[1:]


def _step(step: Any) -> dict[str, Any]:
    if isinstance(step, Normalize):
        # A reader of the file does not know our names of statistics.
        mean, std = step.constants()
        return {"name": "normalize", "mean": list(mean), "std": list(std)}
    described: dict[str, Any] = plain(step)
    return described
