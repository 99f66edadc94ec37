"""Holm's correction, against an example by hand and the definition that statsmodels uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spdbuild.reporting.holm import holm
from spdbuild.reporting.report import report

MakeRun = Callable[..., Path]


def test_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04, and the last may not fall."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_as_in_statsmodels(values: list[float]) -> None:
    """Its multipletests(method="holm"): the running maximum of the sorted p times n, n - 1, ..., 1, at most 1."""
    order = np.argsort(values, kind="stable")
    wanted = np.minimum(np.maximum.accumulate(np.array(values)[order] * np.arange(len(values), 0, -1)), 1)
    assert np.array(holm(values))[order] == pytest.approx(wanted)


@pytest.fixture
def three(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two networks that are compared with a third over three seeds."""
    monkeypatch.chdir(tmp_path)
    reached = {"base": (0.50, 0.60, 0.70), "near": (0.52, 0.62, 0.7201), "far": (0.51, 0.65, 0.745)}
    for place, (name, values) in enumerate(reached.items()):
        for seed, value in enumerate(values):
            changes = ["passes=[]"] if name == "base" else [f"batch={place}"]
            make_run(
                f"runs/{name}_s{seed}", f"title={name}", f"seed={seed}", *changes, metrics={"top1": value}, macs=place
            )


@pytest.mark.usefixtures("three")
def test_p_of_several_comparisons_are_shown_beside_the_raw_ones() -> None:
    found = report("runs", quiet=True, against="base", output="out")
    (pairs,) = found.comparisons
    entries = [pair.differences[0] for pair in pairs]
    raw = [entry.p for entry in entries]
    assert all(p is not None for p in raw)
    assert [entry.p_holm for entry in entries] == pytest.approx(holm([p for p in raw if p is not None]))
    table = found.parts[0].tables[1]
    assert table.columns[-3:] == ("p", "Holm p", "conclusion")
    assert any(sentence.startswith("Holm's p are p with") for sentence in found.parts[-1].sentences)
    assert "p_holm" in Path("out/differences.csv").read_text().splitlines()[0]


@pytest.mark.usefixtures("three")
def test_one_comparison_is_not_corrected() -> None:
    found = report("runs/base_s0", "runs/base_s1", "runs/far_s0", "runs/far_s1", quiet=True)
    ((pair,),) = found.comparisons
    assert (pair.differences[0].p is None, pair.differences[0].p_holm) == (False, None)
    assert "p" not in found.parts[0].tables[1].columns


def test_a_difference_that_the_correction_undoes_is_not_concluded(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, (name, values) in enumerate({"base": (0, 0, 0), "a": (0.1, 0.15, 0.2), "b": (0.1, -0.1, 0)}.items()):
        for seed, value in enumerate(values):
            changes = ["passes=[]"] if name == "base" else [f"batch={place}"]
            make_run(f"runs/{name}{seed}", f"title={name}", f"seed={seed}", *changes, metrics={"top1": value})
    (pairs,) = report("runs", quiet=True, against="base").comparisons
    told = {pair.group.name: pair.differences[0] for pair in pairs}
    assert told["a"].p == pytest.approx(0.0351, abs=1e-4)
    assert told["a"].p_holm == pytest.approx(0.0702, abs=1e-4)
    assert told["a"].verdict == "no difference shown among several comparisons (3 seeds)"
