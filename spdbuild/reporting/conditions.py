"""What the result of a run depends on besides its seed, and what decides whether two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spdbuild.reporting.run import Run
from spdbuild.training.ordered import ORDERED

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
_MEASURED = ("data", EVALUATED, "task.name", "task.evaluation", "task.tta", *_CHOICE.values())
#: What keys of a task mean where they are absent, as they are in recipes that are older than the keys.
_FLIPS = {"task.tta.horizontal_flip": False, "task.tta.vertical_flip": False}
_WHERE_ABSENT: Mapping[str, Mapping[str, Any]] = {
    "classification": _FLIPS,
    "detection": {**_FLIPS, "task.tta.scales": [1]},
}
#: What follows from a network: its file and, as a text may mean another network to another version, its costs.
_FOLLOWING = ("architecture.yaml", "parameters", "macs")
#: Keys that these follow from.
_NETWORK = frozenset(("architecture", "variant", "vars", "passes", "input", "data"))
#: What follows the key of a mapping whose order matters, as a condition of its own.
_ORDER = " order"

Conditions = Mapping[str, Any]


def conditions(run: Run) -> Conditions:
    """The values of a run by key path: the recipe without what does not affect the result, and what it came to.

    The images stand in place of the keys that say where they are, if it is known which they are.
    """
    resolved, images = _resolved(run), run.images
    if images is None:
        return resolved
    elsewhere = {path: value for path, value in resolved.items() if path not in PLACES}
    return {**elsewhere, **dict(zip((TRAINED, EVALUATED), images, strict=True))}


def all_conditions(runs: Sequence[Run]) -> list[Conditions]:
    """The conditions of each run; for the folds of a cross-validation the same, with neither the fold nor its images.

    Folds belong to one cross-validation if each is of the same images in all of its runs. Where that is not so, those
    with the same places of the images do, and if that is not so either, every fold stands for itself.
    """
    found = list(map(conditions, runs))
    left = [place for place, run in enumerate(runs) if run.fold is not None]
    for with_places in (False, True):
        joint = {place: _over_folds(runs[place], with_places) for place in left}
        keys = {place: identity(measured(known)) for place, known in joint.items()}
        torn = {keys[place] for place in _torn({place: runs[place] for place in left}, joint)}
        for place in left:
            if keys[place] not in torn:
                found[place] = joint[place]
        left = [place for place in left if keys[place] in torn]
    return found


def _over_folds(run: Run, with_places: bool) -> Conditions:
    of_fold = ("data.fold", TRAINED, EVALUATED)
    known = {**_resolved(run), **conditions(run)} if with_places else conditions(run)
    return {path: value for path, value in known.items() if path not in of_fold}


def _torn(runs: Mapping[int, Run], joint: Mapping[int, Conditions]) -> list[int]:
    """The places of runs whose fold was of other images in another run: evaluated, or trained by the same recipe.

    Also those in which all folds together have another number of images than in another run by the same recipe.
    """
    seen, torn = dict[tuple[str, int | None], str | int | None](), list[int]()
    for place, run in runs.items():
        trained, evaluated = run.images or ("", "")
        same = identity(joint[place])
        facts = (
            (identity(measured(joint[place])), run.fold, evaluated),
            (f"trained {same}", run.fold, trained),
            (f"divided {same}", None, run.divided),
        )
        if any(seen.setdefault((key, fold), value) != value for key, fold, value in facts):
            torn.append(place)
    return torn


def _resolved(run: Run) -> Conditions:
    """The resolved recipe of a run, with the network and the precision that it gave.

    Empty keys are left out: they say no more than absent ones.
    """
    came_to = (run.network, run.summary.parameters, run.summary.macs)
    chosen = {**dict(zip(_FOLLOWING, came_to, strict=True)), "precision": run.summary.precision}
    choice = {path: getattr(run.evaluated, name) for name, path in _CHOICE.items()} if run.evaluated else {}
    own = dict(_leaves(run.recipe))
    for path, value in _WHERE_ABSENT.get(own.get("task.name", ""), {}).items():
        own.setdefault(path, value)
    return {**own, **chosen, **choice}


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
    # Of other patterns, the order is another, too.
    left_out += [path for path in found if path.endswith(_ORDER) and _any_below(found, path.removesuffix(_ORDER))]
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
            if path in ORDERED and len(value) > 1:
                yield f"{path}{_ORDER}", list(value)
        elif value is not None and value != {}:
            yield path, _plain(value)


def _plain(value: Any) -> Any:
    """32.0 as 32: a recipe that was read from its resolved form has floats where the defaults are integers."""
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _below(path: str, tops: Sequence[str]) -> bool:
    return any(path == top or path.startswith(f"{top}.") for top in tops)


def _any_below(paths: Sequence[str], top: str) -> bool:
    return any(path.startswith(f"{top}.") for path in paths)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_text(entry)}' for key, entry in value.items())}}}"
    return value if isinstance(value, str) else json.dumps(value)
