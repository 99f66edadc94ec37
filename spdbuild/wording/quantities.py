"""Numbers in readable form."""

from __future__ import annotations

from collections.abc import Iterable

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def scaled(number: float, unit: str = "", decimals: int = 3) -> str:
    """4089184256 -> `4.089 G`; with a unit `4.089 GMACs`."""
    for size, prefix in _PREFIXES:
        if number >= size:
            return f"{number / size:.{decimals}f} {prefix}{unit}"
    return f"{number:,} {unit}".strip()


def memory(elements: int) -> str:
    """Memory of `elements` numbers in single precision: `150.2 MB`, with a million bytes per MB."""
    return scaled(4 * elements, "B", decimals=1)


def ratio(before: float, after: float) -> str:
    """`x1.31`; empty if `before` is 0."""
    return f"x{after / before:.2f}" if before else ""


def share(part: float, whole: float) -> str:
    """`12.5 %`; empty if `whole` is 0."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def change(before: int, after: int) -> str:
    """`9,408 -> 12,288`, or one number where both are equal."""
    return f"{before:,}" if before == after else f"{before:,} -> {after:,}"


def shapes_text(shapes: Iterable[Iterable[int]]) -> str:
    """`64x112x112`, several separated by commas."""
    return ", ".join("x".join(map(str, shape)) for shape in shapes)
