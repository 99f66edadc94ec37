"""Runs side by side, and what each is as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

from spdbuild.training.result import Result, comparison_table


def result(title: str, best: float = 0.5) -> Result:
    return Result(title, Path(title), {"top1": 0.5}, best, 1, 1_000, 20_000, 30.0, 4.0)


def test_a_row_a_run_even_with_a_bar_in_its_name() -> None:
    assert comparison_table([result("with|spd"), result("strided")]) == (
        "| run       |   top1 | parameters |   MACs | images/s |\n"
        "| --------- | -----: | ---------: | -----: | -------: |\n"
        "| with\\|spd | 0.5000 |      1,000 | 20,000 |       30 |\n"
        "| strided   | 0.5000 |      1,000 | 20,000 |       30 |"
    )


def test_a_result_is_json_also_where_no_epoch_was_the_best() -> None:
    document = result("a", -math.inf).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["best"], document["params"], document["folder"]) == (None, 1_000, "a")
