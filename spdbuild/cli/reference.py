"""What the commands `ops` and `passes`, and the documentation, say about a registered class."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spdbuild.declaring.arguments import default_of, describe_type, literal, type_hints
from spdbuild.declaring.docstrings import documentation

#: Columns of a page in a terminal; docstrings are written to be as wide.
PAGE_WIDTH = 120


@dataclass(frozen=True)
class ArgumentReference:
    """An argument of a call: what it accepts, its default as the language writes it ("" if it must be given)."""

    name: str
    accepts: str
    default: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}={self.default}" if self.default else self.name


@dataclass(frozen=True)
class Reference:
    """A registered class: its call, and the parts of its docstring."""

    name: str
    summary: str
    body: str
    source: str
    arguments: tuple[ArgumentReference, ...]

    @property
    def call(self) -> str:
        """`conv2d(out, kernel=1, stride=1)`."""
        return f"{self.name}({', '.join(map(str, self.arguments))})"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"call": self.call}


def reference(cls: type[Any]) -> Reference:
    """The reference of a registered class."""
    told = documentation(cls)
    return Reference(cls.name, told.summary, told.body, told.source, tuple(_arguments(cls)))


def _arguments(cls: type[Any]) -> Iterator[ArgumentReference]:
    texts, hints = documentation(cls).arguments, type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.init:
            text = texts.get(field.name, "")
            yield ArgumentReference(field.name, describe_type(hints[field.name]), _default(field), text)


def _default(field: dataclasses.Field[Any]) -> str:
    value = default_of(field)
    if value is dataclasses.MISSING:
        return ""
    return "..." if value is None else literal(value)


def text_of(told: Reference, *more: str) -> str:
    """A page for a terminal: call, summary, arguments, the rest of the docstring, further paragraphs, source."""
    width = max((len(argument.name) for argument in told.arguments), default=0)
    arguments = [_hanging(f"  {argument.name.ljust(width)}  ", argument.text) for argument in told.arguments]
    source = _hanging("Source: ", told.source)
    parts = [told.call, told.summary, "\n".join(arguments), told.body, *more, source]
    return "\n\n".join(part for part in parts if part)


def _hanging(start: str, text: str) -> str:
    return textwrap.fill(text, PAGE_WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
