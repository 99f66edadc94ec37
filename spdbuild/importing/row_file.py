"""Read and check files of rows `[from, number, module, args]`, as YOLOv5 and its descendants use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spdbuild.errors import Location, Problem, SourceError, nearest
from spdbuild.importing.row_modules import MODULES, REQUIRED, RowModule
from spdbuild.text.schema import check_schema, describe
from spdbuild.text.source import Source, Value, parse_yaml

#: The row that stands for the image.
IMAGE = -1
_NUMBER = {"type": "number", "exclusiveMinimum": 0}
_ROWS = {"type": "array", "minItems": 1, "items": {"type": "array", "minItems": 4, "maxItems": 4}}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["nc", "backbone", "head"],
    "additionalProperties": False,
    "properties": {
        "nc": {"type": "integer", "minimum": 1, "description": "nc is the number of classes"},
        "ch": {"type": "integer", "minimum": 1},
        "depth_multiple": _NUMBER,
        "width_multiple": _NUMBER,
        "scales": {"type": "object", "additionalProperties": {"type": "array", "items": _NUMBER, "minItems": 2}},
        "anchors": {
            "type": "array",
            "description": "one list of widths and heights a level: [10,13, 16,30, 33,23]",
            "items": {"type": "array", "items": _NUMBER, "minItems": 2},
        },
        "backbone": {**_ROWS, "description": "rows [from, number, module, args]"},
        "head": {**_ROWS, "description": "rows [from, number, module, args]"},
    },
}


@dataclass(frozen=True)
class Row:
    """One row, checked.

    section: backbone or head. reads: the rows that it reads, counted from the first; IMAGE for the image.
    module: None for the detection head, which ends the file.
    """

    section: str
    reads: tuple[int, ...]
    number: int
    name: str
    module: RowModule | None
    arguments: Mapping[str, Any]
    location: Location


@dataclass(frozen=True)
class RowFile:
    """A checked file; `settings` are its keys other than the rows."""

    source: Source
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]


def read_row_file(source: Source) -> RowFile:
    """The rows of a file; SourceError with the places of all mistakes."""
    root = parse_yaml(source)
    problems = check_schema(root, _SCHEMA)
    if problems:
        raise SourceError.gather(problems)
    rows: list[Row] = []
    for section in ("backbone", "head"):
        for value in root.data[section]:
            try:
                rows.append(_row(section, value, len(rows)))
            except SourceError as error:
                problems += error.problems
                rows.append(Row(section, (), 1, "", None, {}, value.location))
    problems += _ending(rows, root)
    if problems:
        raise SourceError.gather(problems)
    settings = {key: entry.plain() for key, entry in root.items() if key not in ("backbone", "head")}
    return RowFile(source, settings, tuple(rows))


def _row(section: str, value: Value, position: int) -> Row:
    reads, number, name, arguments = value.data
    if not isinstance(number.data, int) or isinstance(number.data, bool) or number.data < 1:
        got = describe(number.data)
        raise SourceError(
            f"the number of repeats must be a whole number from 1 on, got {got}", location=number.location
        )
    sources = tuple(_source(item, position) for item in (reads if isinstance(reads.data, list) else [reads]))
    if name.data == "Detect":
        return Row(section, sources, 1, "Detect", None, {"args": arguments.plain()}, value.location)
    if name.data not in MODULES:
        known = nearest(str(name.data), [*MODULES, "Detect"])
        raise SourceError(f"there is no module '{name.data}' in row files", location=name.location, hint=known)
    module = MODULES[name.data]
    if module.inputs is not None and len(sources) != module.inputs:
        raise SourceError(f"{name.data} reads one row, got {len(sources)}", location=reads.location)
    if module.repeats == "once" and number.data > 1:
        raise SourceError(f"{name.data} cannot be repeated", location=number.location)
    bound = _bound(name.data, module, arguments)
    return Row(section, sources, number.data, name.data, module, bound, value.location)


def _source(value: Value, position: int) -> int:
    """The row that a `from` means: counted from the first, or backwards from this one."""
    if not isinstance(value.data, int) or isinstance(value.data, bool):
        raise SourceError(f"'from' must be a whole number, got {describe(value.data)}", location=value.location)
    row = position + value.data if value.data < 0 else value.data
    if row >= position or row < IMAGE:
        hint = (
            f"from 0 to {position - 1}, or -1 for the row before" if position else "the first row reads -1, the image"
        )
        raise SourceError(f"row {position} reads row {row}, which is not above it", location=value.location, hint=hint)
    return row


def _bound(name: str, module: RowModule, arguments: Value) -> dict[str, Any]:
    """The arguments by name; those of types that our calls do not take are refused."""
    given = list(arguments)
    if not isinstance(arguments.data, list) or len(given) > len(module.parameters):
        takes = ", ".join(module.parameters)
        raise SourceError(
            f"{name} takes {takes}; got {describe(arguments.data)} of {len(given)}", location=arguments.location
        )
    bound = dict(module.parameters)
    for (parameter, default), value in zip(module.parameters.items(), given, strict=False):
        bound[parameter] = _argument(name, parameter, default, value)
    missing = next((parameter for parameter, value in bound.items() if value is REQUIRED), None)
    if missing:
        raise SourceError(f"{name} needs the argument {missing}", location=arguments.location)
    return bound


def _argument(module: str, parameter: str, default: Any, value: Value) -> Any:
    """The value of an argument, of the type of its default; a whole number where it has none."""
    data: Any = None if value.data == "None" else value.plain()
    if data is None and default is None:
        return None
    kind = type(default) if isinstance(default, bool | str | list) else int
    fits = type(data) is kind
    if kind is int:
        fits = fits and data >= (0 if parameter == "padding" else 1)
    if kind is list:
        fits = fits and len(data) == len(default) and all(type(number) is int for number in data)
    if not fits:
        words = {int: "a whole number", str: "a text", bool: "true or false", list: "a list of three whole numbers"}
        got = describe(value.data)
        raise SourceError(f"{module}: {parameter} must be {words[kind]}, got {got}", location=value.location)
    return data


def _ending(rows: list[Row], root: Value) -> Iterator[Problem]:
    """Check that Detect is the last row, and no other one, and that it has anchors for its levels."""
    for position, row in enumerate(rows):
        if row.name == "Detect" and position != len(rows) - 1:
            yield Problem("Detect is not the last row", row.location)
    last = rows[-1]
    if last.name != "Detect":
        if last.name:
            yield Problem("the last row must be Detect", last.location)
        return
    anchors = root.get("anchors")
    if anchors is None:
        yield Problem("Detect needs anchors", last.location, "add the key anchors: a list for each level")
    elif len(anchors.data) != len(last.reads):
        message = f"Detect reads {len(last.reads)} rows, but there are anchors for {len(anchors.data)}"
        yield Problem(message, last.location)
    elif any(len(level.data) % 2 for level in anchors):
        yield Problem("anchors are pairs of a width and a height", anchors.location)
    yield from _head_arguments(last, root)


def _head_arguments(row: Row, root: Value) -> Iterator[Problem]:
    args = row.arguments["args"]
    classes = root.data["nc"].data
    if not isinstance(args, list) or len(args) != 2 or args[0] not in ("nc", classes) or args[1] != "anchors":
        yield Problem(f"Detect takes [nc, anchors], got {args}", row.location)
