"""One line of an architecture: `name: call * count <- inputs`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from spdbuild.errors import Location, SourceError, SpdbuildError
from spdbuild.text.expression import ExpressionError, parse_expression
from spdbuild.text.schema import describe
from spdbuild.text.source import Value

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NAME_HINT = "a name begins with a letter or _, and has letters, digits and _, without accents"
REFERENCE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


@dataclass(frozen=True)
class Argument:
    """One argument of a call; `name` is empty for a positional one, `start` and `end` enclose all of it."""

    name: str
    tree: ast.expr
    start: int
    end: int


@dataclass(frozen=True)
class Call:
    """A call as it is written; columns are positions in `text`."""

    text: str
    value: Value
    function: str
    arguments: tuple[Argument, ...]
    start: int
    end: int

    @property
    def location(self) -> Location:
        return self.value.at(self.start)

    def at(self, column: int) -> Location:
        return self.value.at(column)

    @property
    def positional(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if not argument.name)

    @property
    def named(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.name)


@dataclass(frozen=True)
class Reference:
    """A name right of `<-`."""

    text: str
    column: int


@dataclass(frozen=True, eq=False)
class Line:
    """A parsed line.

    name: as written, or empty.
    label: the name, or the one made from the call: `relu`, `relu_2`.
    when: condition under which the line exists; None: always.
    reads: names right of `<-`; None: it reads the line before it.
    """

    name: str
    label: str
    call: Call
    when: ast.expr | None
    repeat: ast.expr | None
    reads: tuple[Reference, ...] | None
    value: Value

    @property
    def location(self) -> Location:
        return self.value.at(0)


def parse_lines(values: Value, errors: list[SpdbuildError], unread: set[str]) -> list[Line]:
    """The lines of a block or section; a line with a mistake is left out, its error and name added to the others."""
    lines = []
    for value in values:
        try:
            lines.append(_parse_line(value))
        except SpdbuildError as error:
            errors.append(error)
            unread.update(value.data if isinstance(value.data, dict) else ())
    return list(_labelled(lines, errors))


def parse_call(value: Value) -> Call:
    """A text that is one call and nothing else, as under `passes:`."""
    try:
        call = _call(parse_expression(value.data), value.data, value)
    except ExpressionError as error:
        raise error.at(value.at(error.offset)) from None
    return call


def _parse_line(item: Value) -> Line:
    name, value = "", item
    if isinstance(item.data, dict):
        if len(item.data) != 1:
            hint = "start each line with '- '" if item.data else ""
            raise SourceError("a line has one name and one call", location=item.location, hint=hint)
        name, value = next(item.items())
        if not NAME.fullmatch(name):
            raise SourceError(f"'{name}' cannot be a name", location=value.key, hint=NAME_HINT)
    if not isinstance(value.data, str):
        what = "the line" if not name else f"'{name}'"
        raise SourceError(
            f"{what} must be a call, got {describe(value.data)}", location=value.location, hint="for example relu()"
        )
    try:
        return _parse_text(name, value)
    except ExpressionError as error:
        raise error.at(value.at(error.offset), hint=_hint(value)) from None


def _hint(value: Value) -> str:
    """A hint at what an unreadable line was probably meant to be."""
    text, source = value.data, value.source.text
    if any(arrow in text for arrow in ("->", "=>", "←", "<=", "⟵", "⇐")):
        return "what a line reads stands behind '<-': add() <- left, right"
    is_plain = source[value.start] not in "'\""
    if is_plain and source[value.end :].lstrip()[:1] in (",", "]") and text.count("(") != text.count(")"):
        return "inside [ ] a comma ends the line: put each line below the other, behind '- '"
    return ""


def _parse_text(name: str, value: Value) -> Line:
    text = value.data
    arrow = _arrow(text)
    head = text if arrow is None else text[:arrow]
    tree = parse_expression(head)
    repeat: ast.expr | None = None
    match tree:
        case ast.BinOp(left=ast.Call() as counted, op=ast.Mult(), right=count):
            tree, repeat = counted, count
    call = _call(tree, text, value)
    whens = [argument for argument in call.arguments if argument.name == "when"]
    if len(whens) > 1:
        raise ExpressionError(f"{call.function}() gets the argument 'when' twice", offset=whens[1].start)
    kept = tuple(argument for argument in call.arguments if argument.name != "when")
    call = Call(text, value, call.function, kept, call.start, call.end)
    reads = None if arrow is None else tuple(_references(text, arrow + 2))
    return Line(name, name, call, whens[0].tree if whens else None, repeat, reads, value)


def _call(tree: ast.expr, text: str, value: Value) -> Call:
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        part = text.strip()
        hint = f"write {part}()" if NAME.fullmatch(part) else "a line is a call, such as conv2d(64, 3) or relu() * 2"
        raise ExpressionError(f"'{part[:60]}' is not a call", hint=hint)
    arguments = []
    for item in tree.args:
        if isinstance(item, ast.Starred):
            raise ExpressionError("'*' is not allowed in front of an argument", item)
        arguments.append(Argument("", item, item.col_offset, item.end_col_offset or item.col_offset))
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ExpressionError("'**' is not allowed in a call", keyword)
        end = keyword.end_col_offset or keyword.col_offset
        arguments.append(Argument(keyword.arg, keyword.value, keyword.col_offset, end))
    start, end = tree.col_offset, tree.end_col_offset or len(text)
    return Call(text, value, tree.func.id, tuple(arguments), start, end)


def _arrow(text: str) -> int | None:
    """Position of the `<-` that stands outside quotes and brackets."""
    depth, quote = 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif depth == 0 and text.startswith("<-", position):
            return position
    return None


def _references(text: str, start: int) -> Iterator[Reference]:
    column = start
    for part in text[start:].split(","):
        name = part.strip()
        place = column + len(part) - len(part.lstrip())
        if not REFERENCE.fullmatch(name):
            what = f"'{name}' cannot be the name of an input" if name else "a name is missing here"
            raise ExpressionError(what, hint="names of layers, such as up4 or backbone.p4", offset=place)
        yield Reference(name, place)
        column += len(part) + 1


def _labelled(lines: list[Line], errors: list[SpdbuildError]) -> Iterator[Line]:
    """Names for the lines that have none; a name given twice is an error."""
    from dataclasses import replace

    taken: dict[str, Line] = {}
    for line in lines:
        first = taken.setdefault(line.name, line) if line.name else line
        if first is not line:
            place = first.location.line
            errors.append(
                SourceError(
                    f"two lines are called '{line.name}'",
                    location=line.value.key,
                    hint=f"the first one is in line {place}",
                )
            )
    for line in lines:
        if line.name:
            yield line
            continue
        label, number = line.call.function, 1
        while label in taken:
            number += 1
            label = f"{line.call.function}_{number}"
        taken[label] = line
        yield replace(line, label=label)
