"""The result of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spdbuild.text.json_text import finite
from spdbuild.wording.tables import Table


@dataclass(frozen=True)
class Result:
    """The result of a run.

    metrics: of the model as the run left it.
    best, best_epoch: the best value of the metric that the task monitors, and the epoch in which it was reached.
    parameters, macs: costs of the network for one image.
    images_per_second: median over the epochs, in training.
    seconds: training time, evaluation and saving included.
    reason: why it ended before its last epoch, or empty.
    twins: results of the runs it is compared with.
    """

    title: str
    folder: Path
    metrics: dict[str, float]
    best: float
    best_epoch: int
    parameters: int
    macs: int
    images_per_second: float
    seconds: float
    reason: str = ""
    twins: tuple[Result, ...] = ()

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={number_text(value)}" for name, value in self.metrics.items())
        twins = f"; twins: {', '.join(twin.title for twin in self.twins)}" if self.twins else ""
        return f"Result({self.folder}: {metrics}{twins})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for the run and each twin."""
        return _comparison([self, *self.twins], ()).html()

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild train --json` prints."""
        document: dict[str, Any] = finite(
            {
                "title": self.title,
                "folder": str(self.folder),
                "metrics": self.metrics,
                "best": self.best,
                "best_epoch": self.best_epoch,
                "params": self.parameters,
                "macs": self.macs,
                "images_per_second": self.images_per_second,
                "seconds": self.seconds,
                "reason": self.reason,
                "twins": [twin.to_dict() for twin in self.twins],
            }
        )
        return document


def comparison_table(results: Sequence[Result], headline: Sequence[str] = ()) -> str:
    """A Markdown table with a row per run: metrics, parameters, MACs per image, images per second in training.

    headline: the metrics to show; all if it is empty.
    """
    return _comparison(results, headline).markdown(aligned=True).rstrip("\n")


def _comparison(results: Sequence[Result], headline: Sequence[str]) -> Table:
    names = headline or list(dict.fromkeys(name for result in results for name in result.metrics))
    numbers = (*names, "parameters", "MACs", "images/s")
    table = Table(("run", *numbers), numbers)
    for result in results:
        metrics = [number_text(result.metrics.get(name)) for name in names]
        costs = [f"{result.parameters:,}", f"{result.macs:,}", f"{result.images_per_second:,.0f}"]
        table.add(result.title, *metrics, *costs)
    return table


def number_text(value: float | None) -> str:
    """A metric with four decimals, a count with commas; "n/a" where the data has nothing to measure."""
    return "n/a" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
