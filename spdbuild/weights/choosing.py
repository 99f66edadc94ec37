"""What a person writes to choose one of several networks in a file."""

from __future__ import annotations

import shlex


def choice_hint(option: str, value: str) -> str:
    """How `value` is chosen by the option `key` or `prefix`."""
    given = shlex.quote(value)
    return f"weights.{option}={given} in a recipe, or `spdbuild weights import --{option} {given}`"
