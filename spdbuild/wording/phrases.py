"""Parts of sentences that messages are made of."""

from __future__ import annotations

from collections.abc import Iterable

#: Characters that command a terminal rather than showing anything, by their number, as Python escapes them.
_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160))}
_ESCAPED_IN_LINES = {code: text for code, text in _ESCAPED.items() if chr(code) not in "\n\t"}


def some(items: Iterable[object], most: int, separator: str = ", ") -> str:
    """The first `most` items and how many more there are: "a, b and 3 more", or "a; b; and 3 more"."""
    listed = list(items)
    shown = separator.join(map(str, listed[:most]))
    # Items between semicolons have commas of their own, and the last must not run into the number after it.
    end = ";" if ";" in separator else ""
    return f"{shown}{end} and {len(listed) - most:,} more" if len(listed) > most else shown


def number(count: int, what: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def cut(text: str, most: int = 60) -> str:
    """A text from a file as a message quotes it: whole, or its beginning and dots."""
    return text if len(text) <= most else f"{text[:most]}..."


def printable(text: str, *, lines: bool = False) -> str:
    """A text that may quote a foreign file, without the characters that command a terminal: they are escaped.

    lines: keep the ends of lines, and tabs.
    """
    return text.translate(_ESCAPED_IN_LINES if lines else _ESCAPED)
