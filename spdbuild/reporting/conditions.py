"""What the result of a run depends on besides its seed, and what decides whether two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spdbuild.boxes.size_bins import COCO_SIZES
from spdbuild.reporting.run import Run

#: Keys of a recipe that do not affect the result of a run. Of `precision`, the value that was chosen for the device is
#: compared, not that of the recipe.
IGNORED = frozenset(
    (
        "title",
        "seed",
        "compare",
        "expect",
        "workers",
        "device",
        "precision",
        "test_batch",
        "save_every",
        "data.download",
        "data.memory_gib",
        "task.cache",
        "task.seeing",
        "task.evaluation.backend",
    )
)
#: Keys that say where the images are, and which of them can be used: not compared where runs know their images.
PLACES = frozenset(("data.root", "data.file", "data.on_error"))
#: The conditions that stand in their place: the images of a run, each as their number and a digest.
TRAINED, EVALUATED = "training images", "evaluation images"
#: What an evaluation of a run measured; runs themselves, measured with their last weights, have none of these.
_CHOICE = {"split": "split", "weights": "evaluated weights", "precision": "evaluation precision"}
#: Runs that differ in one of these were not measured on the same images in the same way.
_MEASURED = ("data", EVALUATED, "task.name", "task.evaluation", *_CHOICE.values())
#: What follows from a network: its file and, as a text may mean another network to another version, its costs.
_FOLLOWING = ("architecture.yaml", "parameters", "macs")
#: Keys that these follow from.
_NETWORK = frozenset(("architecture", "variant", "vars", "passes", "input", "data"))

#: Values that mean the same as an absent key: COCO's object sizes, which older runs wrote out, and a share that recipes
#: older than the key do not have.
_UNSAID = {f"task.evaluation.sizes.{size.name}": [size.low, size.high] for size in COCO_SIZES} | {"data.val_share": 0}

Conditions = Mapping[str, Any]


def conditions(runs: Sequence[Run]) -> list[Conditions]:
    """For each run values by key path: the recipe without what does not affect the result, and what it came to.

    An older run, which does not say which images it had, is taken to have had those of the runs with the same `data`,
    if these all had the same ones; else it is told by what its recipe says of the data.
    """
    resolved = [_resolved(run) for run in runs]
    data = [identity({path: value for path, value in one.items() if _below(path, ("data",))}) for one in resolved]
    known = {key: {run.images for at, run in zip(data, runs, strict=True) if at == key and run.images} for key in data}
    return [
        _with_images(own, {run.images} if run.images else known[key])
        for own, key, run in zip(resolved, data, runs, strict=True)
    ]


def _with_images(resolved: Conditions, known: set[tuple[str, str]]) -> Conditions:
    """The images in place of the keys that say where they are, if it is known which they are."""
    if len(known) != 1:
        return resolved
    (images,) = known
    elsewhere = {path: value for path, value in resolved.items() if path not in PLACES}
    return {**elsewhere, **dict(zip((TRAINED, EVALUATED), images, strict=True))}


def _resolved(run: Run) -> Conditions:
    """The resolved recipe of a run, with the network and the precision that it gave.

    Empty keys are left out, so that recipes older than a key compare equal to those that leave it empty.
    """
    came_to = (run.network, run.summary.parameters, run.summary.macs)
    chosen = {**dict(zip(_FOLLOWING, came_to, strict=True)), "precision": run.summary.precision}
    leaves = {path: value for path, value in _leaves(run.recipe) if value != _UNSAID.get(path)}
    choice = {path: getattr(run.evaluated, name) for name, path in _CHOICE.items()} if run.evaluated else {}
    return {**leaves, **chosen, **choice}


def measured(conditions: Conditions) -> Conditions:
    """The conditions that determine on which images runs were evaluated, and how."""
    return {path: value for path, value in conditions.items() if _below(path, _MEASURED)}


def identity(conditions: Conditions) -> str:
    """A text that is the same only for the same conditions."""
    return json.dumps(conditions, sort_keys=True)


def differing(several: Sequence[Conditions]) -> list[str]:
    """Key paths in which conditions differ, without those that follow from others.

    Where a `name` differs, the keys beside it mean other things, and the images differ with the name of the data; the
    file of a network follows from what made it.
    """
    paths = dict.fromkeys(path for conditions in several for path in conditions)
    found = [path for path in paths if len({value_text(conditions, path) for conditions in several}) > 1]
    named = tuple(path.removesuffix("name") for path in found if path.endswith(".name"))
    found = [path for path in found if path.endswith(".name") or not path.startswith(named)]
    found = [path for path in found if path not in (TRAINED, EVALUATED) or "data.name" not in found]
    explained = any(path.split(".")[0] in _NETWORK for path in found if path not in _FOLLOWING)
    following = [path for path in _FOLLOWING if path in found]
    left_out = following if explained else following[1:]
    return [path for path in found if path not in left_out]


def value_text(conditions: Conditions, path: str) -> str:
    """A value as one writes it in a recipe; "none" where the run's recipe has no such key."""
    return _text(conditions[path]) if path in conditions else "none"


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        path = f"{above}{key}"
        if path in IGNORED:
            continue
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}.")
        elif value is not None and value != {}:
            yield path, _plain(value)


def _plain(value: Any) -> Any:
    """32.0 as 32: a recipe that was read from its resolved form has floats where the defaults are integers."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _below(path: str, tops: Sequence[str]) -> bool:
    return any(path == top or path.startswith(f"{top}.") for top in tops)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_text(entry)}' for key, entry in value.items())}}}"
    return value if isinstance(value, str) else json.dumps(value)
