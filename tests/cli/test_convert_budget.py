"""`spdbuild convert --budget`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

#: tiny strided has 11,600 MACs. With a kernel of 1 block instead of 2x2, `down` has 8*16 weights at 4*4 places.
REPORT = """\
replaced   op        becomes       kernel                      taps  placement      params                MACs  \
exact  field       stride  note
down.conv  conv2d    spd_conv2d    3x3/2 -> 1x1 of 2x2 pixels  4/4   before     288 -> 128  4.608 k -> 2.048 k  \
no     5x5 -> 4x4  2
pool       max_pool  spd_max_pool  2x2/2 -> 1x1 of 2x2 pixels  4/4   before       0 -> 256        0 -> 1.024 k  \
no     7x7 -> 6x6  4

2 replaced, 0 kept
parameters  510 -> 606  x1.19
MACs        11.600 k -> 10.064 k  x0.87
budget      10,064 MACs of at most 11,600 MACs  x0.87
budget      606 parameters of at most 700 parameters  x1.19
chosen      --kernel 1
"""


def test_the_report_ends_with_what_is_spent_and_the_choice(run, tiny: Path):
    result = run("convert", tiny, "--budget", "macs=1.0x", "--budget", "params=700", "-o", "new.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, REPORT, "wrote new.yaml\n")
    assert "spd_conv2d(out, 3, stride, spd_kernel=1)" in Path("new.yaml").read_text()


def test_json_has_the_budgets_and_the_choice(run, tiny: Path):
    report = json.loads(run("convert", tiny, "--budget", "macs=12k", "--json").stdout)
    assert report["budget"] == [
        {"quantity": "macs", "limit": 12000, "strided": 11600, "converted": 10064, "fits": True}
    ]
    assert report["choice"] == "--kernel 1"
    assert report["after"] == {"params": 606, "macs": 10_064}


def test_without_a_budget_there_is_no_word_of_it(run, tiny: Path):
    assert "budget" not in json.loads(run("convert", tiny, "--json").stdout)


# The MACs and parameters of YOLOv5s, in REFERENCE.
def test_yolov5s_is_matched_in_macs_and_parameters(run):
    arguments = ["convert", "yolov5", "--variant", "s", "--strict", "--budget", "macs=1.0x", "--budget", "params=1.0x"]
    result = run(*arguments)
    assert result.stderr.endswith(
        "7 replaced, 0 kept\n"
        "parameters  7,235,389 -> 6,963,005  x0.96\n"
        "MACs        8.217 G -> 8.164 G  x0.99\n"
        "budget      8,164,352,000 MACs of at most 8,216,780,800 MACs  x0.99\n"
        "budget      6,963,005 parameters of at most 7,235,389 parameters  x0.96\n"
        "chosen      --kernels backbone.down3=1,backbone.down4=1,backbone.down5=1 --strict\n"
    )
    chosen = shlex.split(result.stderr.splitlines()[-1])[1:]
    assert run("convert", "yolov5", "--variant", "s", *chosen).stdout == result.stdout


def test_a_width_that_shrinks_is_part_of_the_choice(run):
    result = run("convert", "yolov5", "--variant", "s", "--budget", "macs=1x", "--width", "width_multiple")
    assert result.stderr.splitlines()[-1] == "chosen      --var width_multiple=0.43"
    assert "  s: {width_multiple: 0.43, depth_multiple: 0.33}\n" in result.stdout


def test_a_budget_that_the_options_meet_changes_nothing(run, tiny: Path):
    result = run("convert", tiny, "--budget", "macs=2x")
    assert result.stderr.splitlines()[-1] == "chosen      the options as they are"
    assert result.stdout == run("convert", tiny).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--budget", "macs=0.8x"],
            "no conversion stays within the budget: at most 9,280 MACs, the least is 10,064 MACs (0.868x)\n"
            "      = hint: allow more, let a var for the width shrink, or let layers stay strided",
        ),
        (
            ["--budget", "macs"],
            "a budget is a quantity and its limit, got 'macs'\n"
            "      = hint: for example macs=1.0x, macs=8.2G, params=7M, latency=1.2x or latency=20ms",
        ),
        (["--width", "w"], "--budget-keep and --width need --budget\n      = hint: for example --budget macs=1.0x"),
        (
            ["--budget", "macs=1x", "--width", "w", "--budget-keep"],
            "--budget-keep and --width do not go together\n      = hint: give one of them",
        ),
        (["--budget", "macs=1x", "--width", "w"], "tiny has no var 'w'\n      = hint: it has none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused(run, tiny: Path, arguments: list[str], message: str):
    result = run("convert", tiny, *arguments, "-o", "new.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {message}\n")
    assert not Path("new.yaml").exists()
