"""Parts of sentences that messages are made of."""

from __future__ import annotations

from collections.abc import Iterable


def some(items: Iterable[object], most: int, separator: str = ", ") -> str:
    """The first `most` items and how many more there are: "a, b and 3 more", or "a; b; and 3 more"."""
    listed = list(items)
    shown = separator.join(map(str, listed[:most]))
    # Items between semicolons have commas of their own, and the last must not run into the number after it.
    end = ";" if ";" in separator else ""
    return f"{shown}{end} and {len(listed) - most:,} more" if len(listed) > most else shown


def cut(text: str, most: int = 60) -> str:
    """A text from a file as a message quotes it: whole, or its beginning and dots."""
    return text if len(text) <= most else f"{text[:most]}..."
