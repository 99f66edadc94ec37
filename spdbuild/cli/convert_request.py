"""What `spdbuild convert` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spdbuild.cli.budget_options import BudgetOptions
from spdbuild.cli.options import Choice
from spdbuild.cli.weight_options import WeightsOptions


@dataclass(frozen=True)
class Request:
    """What was asked for, besides the network.

    preset, options: those of the pass. output: file of the architecture. markdown, as_json: forms of the report.
    """

    choice: Choice
    preset: str | None
    budget: BudgetOptions
    output: Path | None
    weights: WeightsOptions
    markdown: bool
    as_json: bool
    options: dict[str, Any]

    @property
    def for_architectures(self) -> list[str]:
        """The options given that make sense only if the network is written in our language."""
        asked = {
            "-o": self.output,
            "--preset": self.preset,
            "--budget": self.budget.limits,
            "--calibrate": self.weights.calibrate,
            "--lossy": self.weights.lossy,
            "--variant": self.choice.variant,
            "--var": self.choice.vars,
        }
        return [option for option, value in asked.items() if value]
