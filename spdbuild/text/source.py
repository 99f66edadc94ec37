"""YAML text -> values that know where they were written. The only user of the yaml library.

The scalars are those of YAML 1.2: `1e-3` is a number; `no`, `on` and `12:30` are text. Duplicate keys, tags, several
documents, and texts that would grow beyond `MAX_VALUES` through aliases are errors.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from spdbuild.errors import Location, SourceError
from spdbuild.text.syntax import missing_space, syntax_fault
from spdbuild.wording.phrases import cut

#: Limits that no hand-written file reaches, so that a hostile or broken one costs neither time nor memory.
MAX_BYTES = 1_000_000
MAX_VALUES = 100_000
MAX_DEPTH = 50

#: Messages quote keys, and a person has to read them.
MAX_KEY = 500

#: Integers beyond this are not exact in other programs (JSON, float64).
MAX_INTEGER = 2**53

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
#: An entry of a list without the space after its dash.
_DASHED = re.compile(r"""-(?:[^\W\d]|[{\["'])""")
#: How one character of a text is written, by the quote around the text; the end of a line stands for a space.
_CHARACTERS = {
    "": re.compile(r"[ \t]*[\r\n]\s*|."),
    "'": re.compile(r"[ \t]*[\r\n]\s*|''|."),
    '"': re.compile(r"(?:\\\r?\n[ \t]*)*(?:[ \t]*[\r\n]\s*|\\(?:x..|u.{4}|U.{8}|.)|.)"),
}
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}


@dataclass(frozen=True)
class Source:
    """A text and the name that messages call it by."""

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        # Only what YAML counts as a line break; str.splitlines knows more.
        return re.split(r"\r\n|\r|\n|\x85|\u2028|\u2029", self.text)

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n|\x85|\u2028|\u2029", self.text))]

    def location(self, line: int, column: int) -> Location:
        """The place at 0-based `line` and `column`."""
        text = self.lines[line] if line < len(self.lines) else ""
        return Location(self.name, line + 1, column + 1, text)

    def index(self, line: int, column: int) -> int:
        """Position in `text` of 0-based `line` and `column`."""
        return self._starts[line] + column if line < len(self._starts) else len(self.text)

    def at_index(self, index: int) -> Location:
        line = bisect_right(self._starts, index) - 1
        return self.location(line, index - self._starts[line])


@dataclass(frozen=True, eq=False)
class Value:
    """A YAML value with its place.

    data: None, bool, int, float, str, a list of values, or a dict from text to values.
    key: place of the key, for the value of a mapping's entry.
    start, end: positions in `source.text`.
    """

    data: Any
    source: Source
    start: int
    end: int
    location: Location
    key: Location | None = None
    size: int = field(default=1, repr=False)

    def at(self, offset: int) -> Location:
        """The place of character `offset` of a text, even where YAML folded it from several lines."""
        first = self.source.text[self.start : self.start + 1]
        character = _CHARACTERS.get(first, _CHARACTERS[""])
        position = self.start + (first in ("'", '"'))
        if first in ("|", ">"):
            # Skip the header, with its comment and the blank lines after it, and the indentation.
            head = re.compile(r"[^\r\n]*(?:[ \t]*\r?\n)+( *)").match(self.source.text, self.start)
            if head is None:
                return self.location
            position, character = head.end(), re.compile(rf"\r?\n {{0,{len(head[1])}}}|.")
        for _ in range(min(offset, len(self.data))):
            written = character.match(self.source.text, position, self.end)
            position = written.end() if written else position + 1
        return self.source.at_index(position)

    def plain(self) -> Any:
        """The value as ordinary Python data."""
        if isinstance(self.data, list):
            return [value.plain() for value in self.data]
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        return self.data

    def find(self, path: list[str | int]) -> Value:
        """The value below `path`, or the deepest one on the way that exists."""
        value = self
        for step in path:
            try:
                value = value.data[step]
            except (KeyError, IndexError, TypeError):
                break
        return value

    def items(self) -> Iterator[tuple[str, Value]]:
        return iter(self.data.items() if isinstance(self.data, dict) else ())

    def __iter__(self) -> Iterator[Value]:
        return iter(self.data if isinstance(self.data, list) else ())

    def get(self, key: str) -> Value | None:
        return self.data.get(key) if isinstance(self.data, dict) else None


def read_source(path: Path | str) -> Source:
    """The text of a file, or a SourceError that says why there is none."""
    path = Path(path)
    name = str(path)
    start = Location(name, 1, 1)
    try:
        if path.is_dir():
            raise SourceError("this is a folder, not a file", location=start)
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SourceError("there is no such file", location=start) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"the file cannot be read: {reason}", location=start) from None
    if len(raw) > MAX_BYTES:
        raise SourceError(
            f"the file is larger than {MAX_BYTES:,} bytes",
            location=start,
            hint="an architecture or recipe is a short text; is this the right file?",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        lines = before.split("\n")
        raise SourceError(
            f"the file is not UTF-8 text: byte 0x{raw[error.start]:02x}",
            location=Location(name, len(lines), len(lines[-1]) + 1),
            hint="save it as UTF-8",
        ) from None
    return Source(name, text)


def parse_yaml(source: Source) -> Value:
    """The one YAML document in `source`; raises SourceError."""
    return _Composer(source).document()


def decimal_comma(key: str, before: Value | None) -> str:
    """A hint for digits that are a key in { }, because a comma ended the number `before` them."""
    whole = before is not None and type(before.data) is int
    number = f"{before.source.text[before.start : before.end]}.{key}" if before is not None and whole else ""
    return f"inside {{ }} a comma ends the value: write {number or 'a point in its place'}"


def parse_scalar(text: str) -> Any:
    """A plain scalar by the rules of YAML 1.2; raises ValueError for a number that is too large."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text) if len(text) < 40 else MAX_INTEGER + 1
        if abs(number) > MAX_INTEGER:
            raise ValueError("the number is too large")
        return number
    if _NUMBER.fullmatch(text):
        real = float(text)
        if math.isinf(real):
            raise ValueError("the number is too large")
        return real
    return text


class _Composer:
    """Builds values from the events of the yaml library."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.anchors: dict[str, Value] = {}
        self.size = 0

    def document(self) -> Value:
        bad = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff\ud800-\udfff]", self.source.text)
        if bad:
            code = ord(bad.group())
            raise SourceError(
                f"a text file cannot hold the character U+{code:04X}",
                location=self.source.at_index(bad.start()),
                hint="is this a binary file?",
            )
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self.events = yaml.parse(self.source.text, Loader=loader)
        try:
            self.next()
            event = self.next()
            if isinstance(event, yaml.StreamEndEvent):
                raise SourceError("the file is empty", location=self.source.location(0, 0))
            root = self.value(self.next(), 0)
            self.next()
            event = self.next()
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except yaml.YAMLError as error:
            raise SourceError(f"this is not YAML: {error}", location=self.source.location(0, 0)) from None
        if isinstance(event, yaml.DocumentStartEvent):
            raise self.error("a file holds one document, and here a second one starts", event)
        return root

    def next(self) -> Any:
        return next(self.events)

    def value(self, event: Any, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise self.error(f"values are nested more than {MAX_DEPTH} deep", event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag is not None and event.tag != "!":
            raise self.error(f"the tag '{cut(event.tag)}' is not allowed here", event)
        before = self.size
        if isinstance(event, yaml.ScalarEvent):
            self.count(1, event)
            value = self.made(event, self.scalar(event), event.end_mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self.sequence(event, depth)
        else:
            value = self.mapping(event, depth)
        value = replace(value, size=self.size - before)
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def alias(self, event: Any) -> Value:
        value = self.anchors.get(event.anchor)
        if value is None:
            raise self.error(f"there is no anchor '&{cut(event.anchor)}' above", event)
        self.count(value.size, event)
        return value

    def scalar(self, event: Any) -> Any:
        if not event.implicit[0] or event.style:
            return event.value
        try:
            return parse_scalar(event.value)
        except ValueError as error:
            raise self.error(str(error), event) from None

    def sequence(self, start: Any, depth: int) -> Value:
        self.count(1, start)
        values = []
        while not isinstance(event := self.next(), yaml.SequenceEndEvent):
            values.append(self.value(event, depth + 1))
        return self.made(start, values, event.end_mark)

    def mapping(self, start: Any, depth: int) -> Value:
        self.count(1, start)
        entries: dict[str, Value] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self.error("a key must be a word", event)
            if event.value == "<<" and not event.style:
                raise self.error("the merge key '<<' is not part of YAML 1.2", event)
            if event.anchor is not None:
                raise self.error("a key cannot have an anchor", event)
            key = event.value
            if len(key) > MAX_KEY:
                raise self.error(f"a key of {len(key):,} characters is too long", event, f"at most {MAX_KEY}")
            place = self.place(event.start_mark)
            text = place.text[place.column - 1 :]
            if not event.style and _DASHED.match(text):
                raise self.error("a dash and what follows it are taken for a key", event, missing_space(text))
            value = self.value(self.next(), depth + 1)
            if key in entries:
                first = entries[key].key
                hint = f"first given in line {first and first.line}"
                if key.isdecimal() and value.data is None and start.flow_style:
                    hint = decimal_comma(key, list(entries.values())[-1])
                raise self.error(f"the key '{key}' is given twice", event, hint)
            entries[key] = replace(value, key=place)
        return self.made(start, entries, event.end_mark)

    def made(self, event: Any, data: Any, end: Any) -> Value:
        mark = event.start_mark
        start = self.source.index(mark.line, mark.column)
        return Value(data, self.source, start, self.source.index(end.line, end.column), self.place(mark))

    def count(self, number: int, event: Any) -> None:
        self.size += number
        if self.size > MAX_VALUES:
            raise self.error(f"the file holds more than {MAX_VALUES:,} values, counting aliases", event)

    def place(self, mark: Any) -> Location:
        return self.source.location(mark.line, mark.column)

    def error(self, message: str, event: Any, hint: str = "") -> SourceError:
        return SourceError(message, location=self.place(event.start_mark), hint=hint)

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> SourceError:
        mark, begun = error.problem_mark or error.context_mark, error.context_mark
        if mark is None:
            return SourceError(f"this is not YAML: {error.problem}", location=self.source.location(0, 0))
        fault = syntax_fault(
            self.source.lines,
            error.problem or "it cannot be read",
            (mark.line, mark.column),
            error.context or "",
            (begun.line, begun.column) if begun else None,
        )
        place = self.source.location(fault.line, fault.column)
        return SourceError(f"this is not YAML: {fault.problem}", location=place, hint=fault.hint)
