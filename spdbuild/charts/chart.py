"""What a chart shows, before it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

#: linear: from the lowest to the highest value. share: from 0 to 1. adaptive: logarithmic where values lie far apart.
Scale = Literal["linear", "share", "adaptive"]


@dataclass(frozen=True)
class Line:
    """Values over x; None where there is none, NaN or infinite where a line is interrupted.

    kind: lines of one kind share a colour; by default each line has its own.
    run: 0 for the run itself; lines of the runs that it is compared with are dashed, each run in its own way.
    thick: whether it is emphasised, in black.
    """

    x: Sequence[float]
    y: Sequence[float | None]
    kind: str = ""
    run: int = 0
    thick: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines by name, on one pair of axes.

    x_name, y_name: what the axes show, with units. note: what else readers must know, at the top right.
    x_scale: also `epochs`, whole numbers up to the last one.
    """

    title: str
    x_name: str
    y_name: str
    lines: Mapping[str, Line]
    x_scale: Scale | Literal["epochs"] = "linear"
    y_scale: Scale = "linear"
    note: str = ""
