"""What is said of the folds of a data set."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Folds:
    folds: int
    fold: int = 0
    together: str | None = None
