"""The curves of groups."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from spdbuild.reporting.csv import curves_csv
from spdbuild.reporting.curves import curves
from spdbuild.reporting.groups import make_sections
from spdbuild.reporting.run import read_run
from spdbuild.training.folder.run_folder import RunFolder

MakeRun = Callable[..., Path]


def test_a_line_is_the_mean_over_the_seeds(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "a0", "title=a", metrics={"top1": 0.8, "loss": None}),
        make_run(tmp_path / "a1", "title=a", "seed=1", metrics={"top1": 0.6, "loss": None}),
        make_run(tmp_path / "b", "epochs=3", metrics={"top1": 0.9, "loss": None}),
    ]
    (section,), _ = make_sections(map(read_run, runs))
    (chart,) = curves(section, ["top1", "loss"])
    assert (chart.title, chart.y_name, chart.y_scale) == ("top1, mean over the seeds", "share of the images", "share")
    # Half of what the two runs reach, and all of it.
    assert {name: list(line.y) for name, line in chart.lines.items()} == {
        "a": pytest.approx([0.35, 0.7]),
        "b": pytest.approx([0.3, 0.6, 0.9]),
    }


def test_an_epoch_in_which_a_run_has_no_number_interrupts_the_line(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"a{n}", "title=a", f"seed={n}", "epochs=4", metrics={"top1": 0.8}) for n in (0, 1)]
    for number, epoch in ((0, 2), (1, 3)):
        file = RunFolder(runs[number]).rows
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        if epoch == 2:
            rows[epoch - 1]["test/top1"] = None
        else:
            del rows[epoch - 1]["test/top1"]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (section,), _ = make_sections(map(read_run, runs))
    (chart,) = curves(section, ["top1"])
    assert list(chart.lines["a"].x) == [1, 2, 4]
    assert list(chart.lines["a"].y) == pytest.approx([0.2, math.nan, 0.8], nan_ok=True)


def test_the_table_has_every_value_of_every_run(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "a0", "title=a", metrics={"top1": 0.8, "loss": None}),
        make_run(tmp_path / "a1", "title=a", "seed=1", metrics={"top1": 0.6, "loss": 2.0}),
    ]
    sections, _ = make_sections(map(read_run, runs))
    assert curves_csv(sections) == (
        "data,group,fold,seed,epoch,metric,value\n"
        "digits,a,,0,1,top1,0.4\n"
        "digits,a,,0,2,top1,0.8\n"
        "digits,a,,1,1,top1,0.3\n"
        "digits,a,,1,1,loss,1.0\n"
        "digits,a,,1,2,top1,0.6\n"
        "digits,a,,1,2,loss,2.0\n"
    )
