"""What a run was and what came out of it, in a few numbers: report/summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild.json_text import finite, json_text
from spdbuild.training.files import write_text

if TYPE_CHECKING:
    from spdbuild.training.session import Session
    from spdbuild.training.task import Evaluation

#: The file of a report that holds it.
FILE = "summary.json"


@dataclass(frozen=True)
class Summary:
    """The head of a report.

    architecture: as the recipe names it, with its passes. input: shape [C, H, W] of an image. macs: of one image.
    epochs, planned_epochs: how many were trained, and how many the recipe wants; steps: of the optimizer; seconds: of
        training, with evaluations.
    weights: which ones `metrics` and `counts` are of.
    monitor, best, best_epoch: the metric that says which weights are the best, its best value, and when that was;
        None where it never was a number.
    """

    title: str
    architecture: str
    parameters: int
    macs: int
    input: tuple[int, ...]
    device: str
    precision: str
    epochs: int
    planned_epochs: int
    steps: int
    seconds: float
    weights: str
    monitor: str
    best: float | None
    best_epoch: int
    metrics: dict[str, float | None]
    counts: dict[str, int]

    def write(self, report: Path) -> None:
        """Into the folder of a report."""
        write_text(report / FILE, json_text(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, report: Path) -> Summary:
        """From the folder of a report."""
        return cls.of(json.loads((report / FILE).read_text(encoding="utf-8")))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Summary:
        """Of what is in the file; older ones have numbers that are not finite, which say that nothing was measured."""
        return cls(**finite(facts) | {"input": tuple(facts["input"])})


def summary_of(session: Session, evaluation: Evaluation) -> Summary:
    """Of a run that has ended, and the evaluation of the model as it left it."""
    # Recipes know torch, and a summary is read without it.
    from spdbuild.training.recipe import load_recipe

    network, position = session.network, session.position
    # As it was given; a session that was resumed has the network that its folder holds.
    recipe = load_recipe(session.folder.recipe)
    averaged = ", averaged over the steps" if session.learner.ema else ""
    variant = f" {recipe.variant}" if recipe.variant else ""
    passes = f" after {', '.join(map(str, recipe.passes))}" if recipe.passes else ""
    return Summary(
        title=recipe.title or "run",
        architecture=f"{recipe.architecture}{variant}{passes}",
        parameters=network.parameters,
        macs=network.macs,
        input=tuple(network.input),
        device=str(session.device),
        precision=session.precision,
        epochs=position.epoch,
        planned_epochs=recipe.epochs,
        steps=position.step,
        seconds=position.seconds,
        weights=f"the last ones (step {position.step:,}){averaged}",
        monitor=session.task.monitor,
        best=finite(position.best),
        best_epoch=position.best_epoch,
        metrics=evaluation.metrics,
        counts=evaluation.counts,
    )
