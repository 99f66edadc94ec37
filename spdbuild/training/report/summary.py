"""A run and its results in a few numbers: report/summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild.text.json_text import finite, json_text
from spdbuild.training.folder.writing import save_text

if TYPE_CHECKING:
    from spdbuild.training.running.session import Session
    from spdbuild.training.task import Evaluation

#: The file of a report that holds it.
FILE = "summary.json"


@dataclass(frozen=True)
class Summary:
    """The head of a report.

    architecture: as the recipe names it, with its passes. input: shape [C, H, W] of an image, or of a tile if images
        are cut into tiles; macs: for one of them.
    epochs, planned_epochs: how many were trained, and how many the recipe wants; steps: of the optimizer; seconds: of
        training, with evaluations.
    weights: those that `metrics` and `counts` are of.
    monitor, best, best_epoch: the metric that picks the best weights, its best value (None if it never was a number),
        and the epoch in which that was reached.
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

    @property
    def macs_per_image(self) -> int:
        """MACs of all the tiles of an image, on average over the evaluation; of the image itself if it has none."""
        tiles = self.counts.get("tiles")
        return self.macs if tiles is None else round(self.macs * tiles / self.counts["images"])

    def write(self, report: Path) -> None:
        """Write the summary into the folder of a report."""
        save_text(report / FILE, json_text(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, report: Path) -> Summary:
        """The summary in the folder of a report."""
        return cls.of(json.loads((report / FILE).read_text(encoding="utf-8")))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Summary:
        """The summary with the facts of a file; numbers that are not finite mean that nothing was measured."""
        return cls(**finite(facts) | {"input": tuple(facts["input"])})


def summary_of(session: Session, evaluation: Evaluation) -> Summary:
    """The summary of a run that has ended, with the evaluation of the model that it left."""
    # Recipes import torch, and a summary is read without it.
    from spdbuild.training.recipe import load_recipe

    network, position = session.network, session.position
    # As it was given; a resumed session has the network that its folder holds.
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
