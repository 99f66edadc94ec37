"""What the result of a run depends on besides its seed, and what decides whether two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spdbuild.reporting.run import Run
from spdbuild.size_bins import COCO_SIZES

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
        "save_every",
        "data.memory_gib",
        "task.cache",
        "task.seeing",
        "task.evaluation.backend",
    )
)
#: Runs that differ in one of these were not measured on the same images in the same way.
_MEASURED = ("data", "task.name", "task.evaluation")
#: Keys that `architecture.yaml` follows from.
_NETWORK = frozenset(("architecture", "variant", "vars", "passes", "input", "data"))

#: The object sizes that apply unless a recipe gives others.
_SIZES = {f"task.evaluation.sizes.{size.name}": [size.low, size.high] for size in COCO_SIZES}

Conditions = Mapping[str, Any]


def conditions(run: Run) -> Conditions:
    """Values by key path: the resolved recipe without what does not affect the result, and what it was resolved to.

    Empty keys are left out, so that recipes older than a key compare equal to those that leave it empty; so are COCO's
    object sizes, which older runs wrote out.
    """
    chosen = {"architecture.yaml": run.network, "precision": run.summary.precision}
    leaves = {path: value for path, value in _leaves(run.recipe) if value != _SIZES.get(path)}
    return {**leaves, **chosen}


def measured(conditions: Conditions) -> Conditions:
    """The conditions that determine on which images runs were evaluated, and how."""
    return {path: value for path, value in conditions.items() if _below(path, _MEASURED)}


def identity(conditions: Conditions) -> str:
    """A text that is the same only for the same conditions."""
    return json.dumps(conditions, sort_keys=True)


def differing(several: Sequence[Conditions]) -> list[str]:
    """Key paths in which conditions differ, without those that follow from others.

    Where a `name` differs, the keys beside it mean other things; and the file of a network follows from what made it.
    """
    paths = dict.fromkeys(path for conditions in several for path in conditions)
    found = [path for path in paths if len({value_text(conditions, path) for conditions in several}) > 1]
    named = tuple(path.removesuffix("name") for path in found if path.endswith(".name"))
    found = [path for path in found if path.endswith(".name") or not path.startswith(named)]
    explained = any(path.split(".")[0] in _NETWORK for path in found if path != "architecture.yaml")
    return [path for path in found if path != "architecture.yaml" or not explained]


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
