"""What is wrong with a text that is not YAML: where it went wrong, which is often above where a parser notices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_CLOSING = {"{": "}", "[": "]"}
_OPENING = {closing: opening for opening, closing in _CLOSING.items()}

#: A key and its value, the colon between them missing or without a space.
_PAIR = re.compile(r"([A-Za-z_][\w.]{0,59})(?:\s*[:=]\s*|\s+)(.+)")


@dataclass(frozen=True)
class Fault:
    """What is wrong, the 0-based line and column, and what to do about it."""

    problem: str
    line: int
    column: int
    hint: str = ""


def syntax_fault(
    lines: Sequence[str], problem: str, place: tuple[int, int], context: str = "", begun: tuple[int, int] | None = None
) -> Fault:
    """The fault in a text of `lines` that a YAML parser has a `problem` with at `place`, 0-based line and column.

    context, begun: what the parser was reading there, in its words, and where that begins.
    """
    line, column = place
    text = lines[line] if line < len(lines) else ""
    if begun is not None and "quoted scalar" in context and "end of stream" in problem:
        return Fault("this quote is never closed", *begun, f"end the text with {_at(lines, begun)}")
    if begun is not None and "flow" in context:
        return _in_brackets(lines, problem, place, begun)
    if begun is not None and "simple key" in context:
        return _no_pair(lines, begun[0])
    if "mapping values" in problem:
        return _surplus_colon(lines, problem, place)
    if "block" in context:
        return _in_block(text, problem, place)
    hint = ""
    if "unknown escape" in problem:
        hint = r"in double quotes \ begins an escape: use single quotes"
    elif "found character" in problem and "\t" in text:
        hint = "indent with spaces, not with tabs"
    elif "found character" in problem:
        hint = f"a text that begins with {text[column : column + 1]} needs quotes"
    return Fault(problem, line, column, hint)


def missing_space(text: str) -> str:
    """A hint where a dash or a colon lacks the space after it, or a colon is missing; else empty."""
    if re.match(r"-[^\s\d.-]", text):
        return f"write '- {text[1:21].strip()}', with a space after the dash"
    pair = _PAIR.fullmatch(text.strip())
    return f"write '{pair[1]}: {pair[2][:40].strip()}', with a space after the colon" if pair else ""


def _in_brackets(lines: Sequence[str], problem: str, place: tuple[int, int], begun: tuple[int, int]) -> Fault:
    unclosed = _unclosed(lines)
    if begun in unclosed or (unclosed and _at(lines, begun) not in _CLOSING):
        opening = begun if begun in unclosed else unclosed[-1]
        bracket = _at(lines, opening)
        return Fault(f"this {bracket} is never closed", *opening, f"write {_CLOSING[bracket]} after its last entry")
    return Fault(problem, *place, "a comma stands between two entries; a text with ': ' or brackets in it needs quotes")


def _unclosed(lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where the brackets are that have no partner, outside of quotes and comments."""
    open_ones: list[tuple[int, int]] = []
    for line, text in enumerate(lines):
        # A quote opens a text only where one can begin: the apostrophe in a word is none.
        for part in re.finditer(r"(?<![^\[{,:\s])(?:'[^']*'|\"[^\"]*\"|#.*)|[\[\]{}]", text):
            if part[0] in _CLOSING:
                open_ones.append((line, part.start()))
            elif open_ones and _at(lines, open_ones[-1]) == _OPENING.get(part[0]):
                open_ones.pop()
    return open_ones


def _no_pair(lines: Sequence[str], line: int) -> Fault:
    text = lines[line]
    hint = missing_space(text.strip()) or "write 'key: value', with a space after the colon"
    return Fault("this line is not 'key: value'", line, _indent(text), hint)


def _surplus_colon(lines: Sequence[str], problem: str, place: tuple[int, int]) -> Fault:
    """A second colon in what the parser takes for one value, which may have begun in the line above."""
    line, column = place
    above = next((i for i in reversed(range(line)) if lines[i].split("#")[0].strip()), None)
    if above is not None and re.fullmatch(r"\s*[\w.]+", lines[line][:column]):
        before = lines[above].strip().removeprefix("- ").lstrip()
        key = re.match(r"([\w.]+):\s", before)
        start = lines[above].index(before)
        if key and _indent(lines[line]) > start:
            hint = f"indent it as far as '{key[1]}' above it"
            return Fault("this line is indented further than the one above it", line, _indent(lines[line]), hint)
        if not key and _indent(lines[line]) == start and not before.endswith(":"):
            return _no_pair(lines, above)
    return Fault(problem, line, column, "a text with ': ' in it needs quotes; arguments of a call are written with '='")


def _in_block(text: str, problem: str, place: tuple[int, int]) -> Fault:
    line, column = place
    found = text[column : column + 1]
    if found in _OPENING:
        hint = f"leave it out, or write {_OPENING[found]} before it"
        return Fault(f"this {found} closes nothing", line, column, hint)
    hint = ""
    if column == _indent(text):
        stripped = text.strip()
        hint = missing_space(stripped) if stripped.startswith("-") else ""
        hint = hint or "indent it as far as its neighbours above"
    return Fault(problem, line, column, hint)


def _at(lines: Sequence[str], place: tuple[int, int]) -> str:
    """The character at a place; empty past the end, where a parser may be."""
    line, column = place
    return lines[line][column : column + 1] if line < len(lines) else ""


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())
