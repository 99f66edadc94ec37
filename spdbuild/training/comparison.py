"""Runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from spdbuild.training.result import Result


def comparison_table(results: Sequence[Result], headline: Sequence[str] = ()) -> str:
    """A Markdown table, a row a run: metrics, parameters, MACs of one image, images a second in training.

    headline: the metrics that are shown; all, if it names none.
    """
    names = headline or list(dict.fromkeys(name for result in results for name in result.metrics))
    rows = [["run", *names, "parameters", "MACs", "images/s"]]
    for result in results:
        metrics = [number_text(result.metrics.get(name)) for name in names]
        costs = [f"{result.parameters:,}", f"{result.macs:,}", f"{result.images_per_second:,.0f}"]
        rows.append([result.title, *metrics, *costs])
    return text_table(rows)


def number_text(value: float | None) -> str:
    """A metric with four decimals, a count with commas; "n/a" where the data has nothing to measure."""
    return "n/a" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as a Markdown table; the first row is the head, the first column is aligned to the left."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(_cells(row, widths)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
