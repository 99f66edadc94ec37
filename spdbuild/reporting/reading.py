"""Facts that runs and their evaluations have stored, checked: damage is told with the name of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spdbuild.declaring.arguments import fit, type_hints
from spdbuild.errors import ArgumentError, InputError
from spdbuild.text.json_text import finite
from spdbuild.training.report.summary import Summary


def text_of(path: Path) -> str:
    """The text of a file; raises InputError if it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"it has no {path.name}") from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is damaged: it is no text in UTF-8") from None


def mapping_of(text: str, name: str) -> dict[str, Any]:
    """The mapping in the JSON text of a file."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{name} is damaged in line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise InputError(f"{name} is damaged: it is no JSON that a run writes") from None
    if not isinstance(found, dict):
        raise InputError(f"{name} is damaged: it is no mapping of keys")
    return found


def recipe_of(recipe: Any, name: str) -> Mapping[str, Any]:
    """A resolved recipe as plain data."""
    if not isinstance(recipe, dict):
        raise InputError(f"{name} is no mapping of keys")
    for key, kind in {"seed": int, "epochs": int, "data": dict, "task": dict, "compare": dict}.items():
        if not isinstance(recipe.get(key), kind):
            raise InputError(f"{name} has no '{key}' as `spdbuild train` writes it")
    return recipe


def row_of(line: str, number: int) -> Mapping[str, Any]:
    """The metrics of an epoch, from a line of metrics.jsonl."""
    name = f"line {number} of metrics.jsonl"
    row: dict[str, Any] = finite(mapping_of(line, name))
    for key, value in row.items():
        if not holds(value, float | None):
            raise InputError(f"{name} is damaged: '{key}' is no number")
    for key in ("epoch", "step", "images_per_second"):
        if row.get(key) is None:
            raise InputError(f"{name} is damaged: it has no '{key}'")
    return row


def summary_of(facts: Mapping[str, Any], name: str) -> Summary:
    """The summary with the facts of a file."""
    known, kinds = finite(facts), type_hints(Summary)
    for key, kind in kinds.items():
        if key not in facts:
            raise InputError(f"{name} is damaged: it has no '{key}'")
        if not holds(known[key], kind):
            raise InputError(f"{name} is damaged: '{key}' is {json.dumps(facts[key])[:40]}")
    return Summary.of({key: known[key] for key in kinds})


def environment_of(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a run was made with, with a list `resumed` in any case."""
    for key, kind in {"versions": dict, "command": list}.items():
        if not isinstance(facts.get(key), kind) or not facts[key]:
            raise InputError(f"{name} is damaged: it has no '{key}'")
    if not holds(facts.get("gpus", []), tuple[str, ...]):
        raise InputError(f"{name} is damaged: 'gpus' is no list of names")
    resumed = facts.get("resumed", [])
    if not isinstance(resumed, list) or not all(map(_tells_command, resumed)):
        raise InputError(f"{name} is damaged: 'resumed' is no list of commands")
    for entry in (facts, *resumed):
        data = entry.get("data", {})
        if not isinstance(data, dict) or not all(map(_tells_images, data.values())):
            raise InputError(f"{name} is damaged: 'data' does not say which images there are")
    again = [{**entry, "command": list(map(str, entry["command"]))} for entry in resumed]
    return {**facts, "command": list(map(str, facts["command"])), "resumed": again}


def holds(value: Any, kind: Any) -> bool:
    """Whether a JSON value fits an annotation."""
    try:
        fit(value, kind, "")
    except ArgumentError:
        return False
    return True


def _tells_command(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("command"), list) and bool(entry["command"])


def _tells_images(split: Any) -> bool:
    return isinstance(split, dict) and holds(split.get("images"), int) and holds(split.get("digest"), str)
