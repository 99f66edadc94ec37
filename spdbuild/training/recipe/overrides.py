"""`key.path=value` and `~key.path` on the command line, and the merging of mappings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spdbuild.errors import ArgumentError, Location, Problem, RecipeError, SourceError, nearest
from spdbuild.text.source import Source, Value, parse_yaml
from spdbuild.text.yaml_text import inline

#: What messages call the file of what a person has typed.
COMMAND_LINE = "command line"


#: As a caller gives them: `"epochs=1"`, several of these, or {"epochs": 1, "optimizer.lr": 0.1}.
Overrides = str | Iterable[str] | Mapping[str, Any]


def listed(overrides: Overrides) -> tuple[str, ...]:
    """Overrides in the form of the command line; a single string is one override, not a sequence of letters.

    Raises ArgumentError for a value that YAML cannot hold.
    """
    if isinstance(overrides, Mapping):
        return tuple(f"{key}={_written(key, value)}" for key, value in overrides.items())
    return (overrides,) if isinstance(overrides, str) else tuple(overrides)


def _written(key: str, value: Any) -> str:
    try:
        return inline(value)
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise ArgumentError(f"the value of '{key}', of type {kind}, is none of YAML", argument="overrides") from None


def apply_override(root: Value, text: str) -> Value:
    """`root` with one entry set or, with `~`, left out; what follows the first '=' is YAML."""
    if text.startswith("~"):
        return _without(root, text[1:].split("."), text)
    path, equals, value = text.partition("=")
    if not equals or not path:
        hint = "write key.path=value, or ~key.path to leave an entry out"
        raise RecipeError(f"'{text}' sets nothing", location=_place(text, 0), hint=hint)
    return _with(root, path.split("."), _value(text, len(path) + 1, value), text)


def refuse_spaces(texts: Sequence[str]) -> None:
    """Raise RecipeError for the first of several overrides that sets nothing: `epochs 3` and `epochs = 3` are some."""
    for number, text in enumerate(texts):
        if text.startswith("~") or text.find("=") > 0:
            continue
        # After `epochs=`, which alone empties the key, the value is the one that stands alone.
        start = number - 1 if number and texts[number - 1].endswith("=") else number
        key, *rest = (part for word in texts[start : start + 3] if (part := word.strip("=")))
        if rest and "=" not in rest[0]:
            message, hint = f"'{text}' sets nothing", f"write {key}={rest[0]}, without a space"
            raise RecipeError(message, location=_place(text, 0), hint=hint)


def merged(base: Value, over: Value) -> Value:
    """`base` updated by `over`: mappings key by key, but a section whose `name` changes is replaced as a whole.

    Keys stay where they are, but those that both have take turns in the order of `over`: it may matter.
    """
    if not isinstance(base.data, dict) or not isinstance(over.data, dict) or _renamed(base, over):
        return over
    shared = iter([key for key in over.data if key in base.data])
    order = [next(shared) if key in over.data else key for key in base.data]
    entries = {key: base.data[key] for key in order}
    for key, value in over.items():
        entries[key] = merged(entries[key], value) if key in entries else value
    return replace(over, data=entries)


def _renamed(base: Value, over: Value) -> bool:
    before, after = base.get("name"), over.get("name")
    return before is not None and after is not None and before.data != after.data


def with_renaming(problems: Iterable[Problem], root: Value) -> list[Problem]:
    """`problems`, with hints for those about keys that are left over in a section that an override renamed."""
    problems = list(problems)
    wrong = {problem.location for problem in problems}
    hints: dict[Location | None, str] = {}
    for section, value in root.items():
        name = value.get("name")
        if name is None or name.location.file != COMMAND_LINE:
            continue
        left = {key: entry for key, entry in value.items() if entry.key is not None and entry.key.file != COMMAND_LINE}
        misfits = {key: entry for key, entry in left.items() if {entry.key, entry.location} & wrong}
        kept = [f"{key}: ..." for key in value.data if key != "name" and key not in misfits]
        whole = f"{section}={{{', '.join([f'name: {name.data}', *kept])}}}"
        for entry in misfits.values():
            hints[entry.key] = hints[entry.location] = f"replace the whole section: {whole}"
    return [replace(problem, hint=hints.get(problem.location, problem.hint)) for problem in problems]


def _with(root: Value, path: list[str], value: Value, text: str) -> Value:
    key, *rest = path
    if isinstance(root.data, list):
        index = _index(root, key, text)
        entries = list(root.data)
        entries[index] = _with(entries[index], rest, value, text) if rest else value
        return replace(root, data=entries)
    if root.data is not None and not isinstance(root.data, dict):
        raise RecipeError(f"there is nothing below '{text.split('=')[0].rpartition('.')[0]}'", location=value.location)
    known = root.data or {}
    inner = known.get(key) or replace(value, data=None)
    if rest:
        section = _with(inner, rest, value, text)
        return replace(root, data={**known, key: replace(section, key=inner.key or _place(text, 0))})
    # An empty mapping has nothing to merge: it empties what is there.
    changed = merged(inner, value) if isinstance(value.data, dict) and value.data else value
    return replace(root, data={**known, key: replace(changed, key=_place(text, 0))})


def _without(root: Value, path: list[str], text: str) -> Value:
    key, *rest = path
    if isinstance(root.data, list):
        index = _index(root, key, text)
        middle = [_without(root.data[index], rest, text)] if rest else []
        return replace(root, data=[*root.data[:index], *middle, *root.data[index + 1 :]])
    known = root.data if isinstance(root.data, dict) else {}
    if key not in known:
        raise RecipeError(f"there is no key '{key}' to leave out", location=_place(text, 0), hint=nearest(key, known))
    entries = {name: entry for name, entry in known.items() if name != key}
    if rest:
        entries = {**known, key: _without(known[key], rest, text)}
    return replace(root, data=entries)


def _index(root: Value, key: str, text: str) -> int:
    count = len(root.data)
    if not key.isdecimal() or int(key) >= count:
        allowed = f"0 to {count - 1}" if count else "it is empty"
        raise RecipeError(f"'{key}' is no position in a list: {allowed}", location=_place(text, 0))
    return int(key)


def _value(text: str, start: int, value: str) -> Value:
    """The YAML value, whose places show the whole override."""
    if not value.strip():
        empty = parse_yaml(Source(COMMAND_LINE, "~"))
        return _moved(empty, text)
    try:
        return _moved(parse_yaml(Source(COMMAND_LINE, " " * start + value)), text)
    except SourceError as error:
        (problem,) = error.problems
        raise SourceError(problem.message, location=_place(text, start), hint=problem.hint) from None


def _moved(value: Value, text: str) -> Value:
    data = value.data
    if isinstance(data, dict):
        data = {key: _moved(entry, text) for key, entry in data.items()}
    elif isinstance(data, list):
        data = [_moved(entry, text) for entry in data]
    key = replace(value.key, text=text) if value.key else None
    return replace(value, data=data, location=replace(value.location, text=text), key=key)


def _place(text: str, column: int) -> Location:
    return Location(COMMAND_LINE, 1, column + 1, text)
