"""`spdbuild bench`, with a clock that stands still."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spdbuild.analysis import benchmark
from spdbuild.system.timing import Times

TIMES = [Times((0.001, 0.002, 0.004)), Times((0.003, 0.003, 0.006))]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are called once and take the times above."""

    def turns(calls, seconds):
        for call in calls:
            call()
        return TIMES[: len(calls)]

    monkeypatch.setattr(benchmark, "take_turns", turns)


def test_one_network(run, tiny: Path, clock):
    result = run("bench", tiny, "--threads", "1", "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "network  input  median ms  p90 ms  min ms  images/s\n"
        "tiny     3x8x8       2.00    4.00    1.00     500.0\n"
        "\n"
        "cpu (1 thread), fp32, batch 1; 3 calls each, in turns, after a warm-up\n"
    )


def test_two_networks_and_their_ratio(run, tiny: Path, clock):
    run("convert", tiny, "-o", "tiny_spd.yaml")
    options = ["--size", 16, "--batch", 4, "--precision", "bf16", "--channels-last", "--threads", 2, "--device", "cpu"]
    result = run("bench", tiny, "--against", "tiny_spd.yaml", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "network   input    median ms  p90 ms  min ms  images/s\n"
        "tiny      3x16x16       2.00    4.00    1.00   2,000.0\n"
        "tiny_spd  3x16x16       3.00    6.00    3.00   1,333.3\n"
        "\n"
        "cpu (2 threads), bf16, channels last, batch 4; 3 calls each, in turns, after a warm-up\n"
        "tiny_spd takes x1.500 the time of tiny\n"
    )


def test_networks_of_one_name_are_told_apart_by_what_was_typed(run, tiny: Path, clock):
    Path("other.yaml").write_text(tiny.read_text())
    result = run("bench", tiny, "--against", "other.yaml", "--threads", 1, "--device", "cpu")
    assert [line.split()[0] for line in result.stdout.splitlines()[1:3]] == [str(tiny), "other.yaml"]
    assert f"other.yaml takes x1.500 the time of {tiny}" in result.stdout


def test_json_is_one_document(run, tiny: Path, clock):
    result = run("bench", tiny, "--against", tiny, "--threads", 1, "--device", "cpu", "--json")
    found = json.loads(result.stdout)
    times = [{"median_ms": 2.0, "p90_ms": 4.0, "min_ms": 1.0}, {"median_ms": 3.0, "p90_ms": 6.0, "min_ms": 3.0}]
    assert found == {
        "device": "cpu",
        "threads": 1,
        "precision": "fp32",
        "channels_last": False,
        "batch": 1,
        "calls": 3,
        "networks": [
            {"name": "tiny", "inputs": [[3, 8, 8]], **ms, "images_per_second": pytest.approx(1000 / ms["median_ms"])}
            for ms in times
        ],
        "ratio": 1.5,
    }


def test_a_batch_that_does_not_fit_is_said_to_be_smaller(run, tiny: Path, monkeypatch: pytest.MonkeyPatch):
    def call(graph, conditions):
        if conditions.batch > 4:
            raise MemoryError
        return lambda: None

    monkeypatch.setattr(benchmark, "_call", call)
    result = run("bench", tiny, "--batch", 16, "--seconds", 0, "--device", "cpu", "--json")
    assert result.stderr == "the memory does not hold 16 images; the batch is 4\n"
    assert json.loads(result.stdout)["batch"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "tpu"], "there is no device 'tpu'"),
        (["--against", "tinny.yaml"], "there is no architecture 'tinny.yaml'"),
        (["--variant", "s"], "tiny has no variant 's'"),
    ],
)
def test_what_cannot_be_is_refused(run, tiny: Path, arguments: list[str], message: str):
    result = run("bench", tiny, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_size_is_for_images(run, tiny: Path):
    Path("flat.yaml").write_text("model: flat\ninputs: {x: [16]}\nlayers:\n  - head: linear(2)\n")
    result = run("bench", "flat.yaml", "--size", 8)
    assert (result.exit_code, result.stderr) == (
        2,
        "error: --size is for images, and flat has other inputs\n      = hint: give --input instead\n",
    )
