"""What a command prints about a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class View:
    """The output as text for people and as a JSON document; sound: whether every file can be used."""

    text: str
    document: dict[str, Any]
    sound: bool = True


def listed(texts: Iterable[str], most: int = 20) -> list[str]:
    """Indented lines, the first `most` of them; --json has all."""
    lines = [f"    {text}" for text in texts]
    return lines[:most] + ([f"    and {len(lines) - most:,} more"] if len(lines) > most else [])
