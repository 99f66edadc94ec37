"""The parts of a registered class's docstring, from which the command line's help and the documentation are made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (.+(?:\n[ \t]+.+)*)", re.MULTILINE)


@dataclass(frozen=True)
class Documentation:
    """The parts of a docstring.

    summary: the first sentence or line.
    body: what is neither summary, arguments nor source, as it is written.
    arguments: text of each argument by name, from paragraphs with lines `name: text` or `name, other: text`.
    source: where the thing was published.
    """

    summary: str
    body: str
    arguments: Mapping[str, str]
    source: str


def documentation(cls: type[Any]) -> Documentation:
    """The parts of the docstring of `cls`; arguments that it does not mention are looked up in its bases."""
    first, *rest = _paragraphs(cls) or [""]
    source = " ".join(_joined(text).removeprefix("Source: ") for text in rest if text.startswith("Source: "))
    body = [text for text in rest if not _ARGUMENT.match(text)]
    arguments: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for text in _paragraphs(base):
            arguments |= _arguments(text)
    return Documentation(_joined(first), "\n\n".join(body), arguments, source)


def _paragraphs(cls: type[Any]) -> list[str]:
    text = inspect.cleandoc(vars(cls).get("__doc__") or "")
    return [part for part in re.split(r"\n[ \t]*\n", text) if part]


def _arguments(paragraph: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for names, text in _ARGUMENT.findall(paragraph) if _ARGUMENT.match(paragraph) else ():
        found |= dict.fromkeys(names.split(", "), _joined(text))
    found.pop("Source", None)
    return found


def _joined(text: str) -> str:
    return " ".join(text.split())
