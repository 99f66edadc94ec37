"""Rename tables: from our weight names to those of third-party checkpoints.

    stem.conv: conv1                      a run of whole name parts becomes another
    stage{s}.rest.{i}: layer{s}.{i + 1}   {x} stands for a part, or for the number in one, and can be used in arithmetic
    space_to_depth: row_column_channel    no rule: the order of the channels of space_to_depth in these checkpoints

Every rule is tried once, from top to bottom, and replaces the first run that it finds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from spdbuild.errors import Location, Problem, SourceError, SpdbuildError
from spdbuild.phases import Order
from spdbuild.text.expression import ExpressionError, check_expression, evaluate, names, parse_expression
from spdbuild.text.source import Value

#: The line of a table that is no rule. No weight has such a name unless a person calls a layer so: the op has none.
ORDER = "space_to_depth"

_FIELD = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_LITERAL = re.compile(r"[A-Za-z0-9_.\-]*")

_Place = Callable[[int], Location | None]


@dataclass(frozen=True)
class Rule:
    """One line of a table. ours: finds the run; theirs: texts and the expressions between them."""

    ours: re.Pattern[str]
    theirs: tuple[str | ast.expr, ...]
    text: str
    place: Location | None = None

    def apply(self, name: str) -> str:
        """`name` with the first run that fits replaced."""
        match = self.ours.search(name)
        if match is None:
            return name
        try:
            run = "".join(part if isinstance(part, str) else self._computed(part, match) for part in self.theirs)
        except SpdbuildError as error:
            raise error.at(self.place) from None
        before, after = name[: match.start()].strip("."), name[match.end() :].strip(".")
        return ".".join(part for part in (before, run, after) if part)

    def _computed(self, tree: ast.expr, match: re.Match[str]) -> str:
        if isinstance(tree, ast.Name):
            return match[tree.id]
        value = evaluate(tree, {name.id: int(match[name.id]) for name in names(tree)}, self.text)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ExpressionError(f"a part of a name must be a whole number, got {value}", tree)
        return str(value)


def rename(name: str, rules: Sequence[Rule]) -> str:
    """The third-party name of our weight `name`."""
    for rule in rules:
        name = rule.apply(name)
    return name


def compile_rules(table: Mapping[str, Value | str]) -> tuple[Rule, ...]:
    """The rules of one rename table, our patterns to theirs, in order.

    All mistakes in the table are raised as one SourceError, with their places where the values know them.
    """
    rules: list[Rule] = []
    problems: list[Problem] = []
    for ours, theirs in table.items():
        if ours == ORDER:
            continue
        try:
            rules.append(_compile(ours, theirs))
        except SpdbuildError as error:
            problems += error.problems
    if problems:
        raise SourceError.gather(problems)
    return tuple(rules)


def stated_order(table: Mapping[str, Value | str]) -> Order | None:
    """The order that a table states, which the schema of architectures has checked."""
    order = table.get(ORDER)
    return cast(Order | None, order.data if isinstance(order, Value) else order)


def _compile(ours: str, theirs: Value | str) -> Rule:
    key = theirs.key if isinstance(theirs, Value) else None
    text = theirs.data if isinstance(theirs, Value) else theirs
    left = list(_parts(ours, lambda offset: _within(key, offset)))
    right = list(_parts(text, theirs.at if isinstance(theirs, Value) else lambda offset: None))
    if not ours:
        raise SourceError("a rule needs a pattern of our names", location=key)
    known = {part.text for part in left if part.is_field}
    computed = [_expression(part, known) if part.is_field else part.text for part in right]
    numbers = {name.id for tree in computed if not isinstance(tree, str | ast.Name) for name in names(tree)}
    return Rule(_pattern(left, numbers), tuple(computed), text, key)


def _within(key: Location | None, offset: int) -> Location | None:
    """The place of character `offset` of a key, which may be quoted."""
    if key is None:
        return None
    quote = key.text[key.column - 1 : key.column] in ("'", '"')
    return replace(key, column=key.column + quote + offset)


@dataclass(frozen=True)
class _Part:
    """A piece of a pattern: a text, or the inside of braces. place: that of the character at an offset in it."""

    text: str
    is_field: bool
    place: _Place


def _parts(pattern: str, place: _Place) -> Iterator[_Part]:
    end = 0
    for field in _FIELD.finditer(pattern):
        yield from _literal(pattern, end, field.start(), place)
        inside = field.start(1)
        yield _Part(field[1], True, lambda offset, inside=inside: place(inside + offset))  # type: ignore[misc]
        end = field.end()
    yield from _literal(pattern, end, len(pattern), place)


def _literal(pattern: str, start: int, end: int, place: _Place) -> Iterator[_Part]:
    text = pattern[start:end]
    good = _LITERAL.match(text)
    if good is None or good.end() < len(text):
        offset = start + (good.end() if good else 0)
        raise SourceError(
            f"'{pattern[offset]}' cannot be in a name", location=place(offset), hint="write {x} for a part"
        )
    if text:
        yield _Part(text, False, lambda offset: place(start + offset))


def _expression(part: _Part, known: set[str]) -> ast.expr:
    """The syntax tree of an expression in braces on their side."""
    try:
        tree = parse_expression(part.text)
        for error in check_expression(tree, known, part.text):
            raise error
    except ExpressionError as error:
        raise error.at(part.place(error.offset)) from None
    return tree


def _pattern(parts: list[_Part], numbers: set[str]) -> re.Pattern[str]:
    """The pattern that finds the run: whole parts.

    A field is any part, but only digits beside a text in the same part, or where their side computes with it.
    """
    found = ""
    seen: set[str] = set()
    for before, part, after in zip([None, *parts], parts, [*parts[1:], None], strict=False):
        if not part.is_field:
            found += re.escape(part.text)
            continue
        if not _NAME.fullmatch(part.text):
            raise SourceError(
                f"'{part.text}' is no name for a part", location=part.place(0), hint="arithmetic belongs on their side"
            )
        if before is not None and before.is_field:
            raise SourceError("two parts of a name must have a text between them", location=part.place(0))
        whole = (before is None or before.text.endswith(".")) and (after is None or after.text.startswith("."))
        content = r"[^.]+" if whole and part.text not in numbers else r"\d+"
        found += f"(?P={part.text})" if part.text in seen else f"(?P<{part.text}>{content})"
        seen.add(part.text)
    return re.compile(rf"(?<![^.])(?:{found})(?![^.])")
