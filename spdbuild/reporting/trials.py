"""What tells runs of one recipe apart: their seeds and, in a cross-validation, the folds they were evaluated on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class InFold(NamedTuple):
    """A run of a cross-validation: the fold, from 0, that it was evaluated on, and its seed."""

    fold: int
    seed: int

    def __str__(self) -> str:
        return f"fold {self.fold} seed {self.seed}"


#: The seed of a run; with its fold, if the images were divided into folds.
Trial = int | InFold


def seeds_of(trials: Iterable[Trial]) -> tuple[int, ...]:
    """Their seeds, each once."""
    return tuple(dict.fromkeys(trial.seed if isinstance(trial, InFold) else trial for trial in trials))


def folds_of(trials: Iterable[Trial]) -> tuple[int, ...]:
    """Their folds, each once; empty without a cross-validation."""
    return tuple(dict.fromkeys(trial.fold for trial in trials if isinstance(trial, InFold)))


def listed(trials: Sequence[Trial]) -> str:
    """`seeds 0, 1`, `folds 0, 1 of seed 0`, `fold 0 seed 1, fold 1 seed 0`."""
    seeds, folds = seeds_of(trials), folds_of(trials)
    if not folds:
        return _numbered("seed", seeds)
    if len(folds) * len(seeds) == len(trials):
        return f"{_numbered('fold', folds)} of {_numbered('seed', seeds)}"
    return ", ".join(map(str, trials))


def _numbered(what: str, numbers: Sequence[int]) -> str:
    return f"{what}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
