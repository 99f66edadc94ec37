"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from spdbuild.tables import Table
from spdbuild.training.result import Result


def comparison_table(results: Sequence[Result], headline: Sequence[str] = ()) -> str:
    """A Markdown table with a row per run: metrics, parameters, MACs per image, images per second in training.

    headline: the metrics to show; all if it is empty.
    """
    names = headline or list(dict.fromkeys(name for result in results for name in result.metrics))
    numbers = (*names, "parameters", "MACs", "images/s")
    table = Table(("run", *numbers), numbers)
    for result in results:
        metrics = [number_text(result.metrics.get(name)) for name in names]
        costs = [f"{result.parameters:,}", f"{result.macs:,}", f"{result.images_per_second:,.0f}"]
        table.add(result.title, *metrics, *costs)
    return table.markdown(aligned=True).rstrip("\n")


def number_text(value: float | None) -> str:
    """A metric with four decimals, a count with commas; "n/a" where the data has nothing to measure."""
    return "n/a" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
