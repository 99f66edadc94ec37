"""Numbers in the fields of a dataclass that must lie in a range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from spdbuild.errors import ArgumentError


def require_range(
    owner: object,
    *names: str,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> None:
    """Refuse fields of `owner` that are not finite or out of the range; ArgumentError names the first.

    least, most: inclusive bounds; above, below: exclusive bounds.

    All numbers of a sequence and of sequences in it must lie in the range; None is not checked.
    """
    wanted = _described(least, above, most, below)
    for name in names:
        for number in _numbers(getattr(owner, name)):
            if not (isinstance(number, int) or math.isfinite(number)):
                raise ArgumentError(f"{name} must be a finite number, got {number}", argument=name)
            if not _holds(number, least, above, most, below):
                raise ArgumentError(f"{name} must be {wanted}, got {number}", argument=name)


def _numbers(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _numbers(entry)
    elif value is not None:
        yield value


def require_growing(owner: object, *names: str) -> None:
    """Refuse pairs whose first number is larger than the second; ArgumentError names the first."""
    for name in names:
        low, high = getattr(owner, name)
        if low > high:
            raise ArgumentError(f"{name} must not fall, got {low} to {high}", argument=name)


def _holds(number: float, least: float | None, above: float | None, most: float | None, below: float | None) -> bool:
    return (
        (least is None or number >= least)
        and (above is None or number > above)
        and (most is None or number <= most)
        and (below is None or number < below)
    )


def _described(least: float | None, above: float | None, most: float | None, below: float | None) -> str:
    if least is not None and most is not None:
        return f"between {_bound_text(least)} and {_bound_text(most)}"
    bounds = {"at least": least, "more than": above, "at most": most, "less than": below}
    return " and ".join(f"{words} {_bound_text(bound)}" for words, bound in bounds.items() if bound is not None)


def _bound_text(bound: float) -> str:
    if bound == 2**63:
        # More readable than its digits.
        return "2**63"
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
