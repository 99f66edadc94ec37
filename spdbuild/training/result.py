"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spdbuild.json_text import finite


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
