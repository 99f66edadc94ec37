"""Which charts a run has."""

from __future__ import annotations

import math
from typing import Any

from spdbuild.training.report.run_charts import LOSSES, METRICS, OTHERS, run_charts

ROWS = [
    {"epoch": 1, "step": 5, "lr": 0.1, "train/loss": 2.0, "test/loss": 34.0, "test/top1": 0.5, "seconds": 3.0},
    {"epoch": 2, "step": 9, "lr": 0.1, "train/loss": 1.0, "seconds": 3.0},
]


def test_train_and_test_share_the_chart_of_their_metric() -> None:
    loss = run_charts(ROWS)["loss"].chart
    assert {name: list(line.y) for name, line in loss.lines.items()} == {"train": [2.0, 1.0], "test": [34.0, None]}
    assert (loss.x_name, loss.y_name, loss.x_scale, loss.y_scale) == ("epoch", "loss", "epochs", "adaptive")


def test_what_was_no_number_interrupts_a_line_and_what_was_not_measured_does_not() -> None:
    rows: list[dict[str, Any]] = [{"epoch": epoch, "test/top1": 0.5} for epoch in (1, 2, 3, 4)]
    # As a file has it, and as the run itself.
    rows[1]["test/top1"], rows[2]["test/top1"] = None, math.nan
    del rows[3]["test/top1"]
    (line,) = run_charts(rows)["top1"].chart.lines.values()
    assert [repr(value) for value in line.y] == ["0.5", "nan", "nan", "None"]


def test_charts_stand_in_sections_and_counters_in_none() -> None:
    sections = {name: picture.section for name, picture in run_charts(ROWS).items()}
    assert sections == {"loss": LOSSES, "top1": METRICS, "learning_rate": OTHERS}
    assert list(sections) == ["loss", "top1", "learning_rate"]


def test_metrics_of_a_kind_share_a_chart() -> None:
    row = {"epoch": 1, **{f"test/{name}": 0.1 for name in ("AP", "AP50", "AP75", "AP_S", "AP_tiny", "AR1", "AR_S")}}
    lines = {name: list(picture.chart.lines) for name, picture in run_charts([row]).items()}
    assert lines == {
        "AP": ["AP", "AP50", "AP75"],
        "AP_by_size": ["AP_S", "AP_tiny"],
        "AR": ["this run"],
        "AR_by_size": ["this run"],
    }


def test_each_part_of_a_loss_and_each_unknown_metric_has_its_own_chart() -> None:
    charts = run_charts([{"epoch": 1, "train/box_loss": 1.0, "train/class_loss": 2.0, "test/quality": 3.0}])
    titles = {name: picture.chart.title for name, picture in charts.items()}
    assert titles == {"box_loss": "Loss: box", "class_loss": "Loss: class", "quality": "quality"}


def test_the_lines_of_twins_are_dashed_and_named_after_them() -> None:
    twin = [{"epoch": 1, "test/top1": 0.4, "train/loss": 3.0}]
    charts = run_charts(ROWS, {"strided": twin})
    accuracy, loss = charts["top1"].chart.lines, charts["loss"].chart.lines
    assert {name: (line.kind, line.run) for name, line in accuracy.items()} == {
        "this run": ("test/top1", 0),
        "strided": ("test/top1", 1),
    }
    assert list(loss) == ["train", "test", "train, strided"]
    assert list(loss["train, strided"].x) == [1]


def test_a_run_without_epochs_has_no_charts() -> None:
    assert run_charts([]) == {}
