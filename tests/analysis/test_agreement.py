"""What counts as the same: one measure for all that compares outputs."""

from __future__ import annotations

import math

import pytest
import torch

from spdbuild.analysis.agreement import OutputError, greatest, relative_error


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        ([4.0, -8.0], [4.0, -7.0], 1 / 8),
        ([0.0, 0.0], [0.0, 0.5], 0.5),
        ([0.0], [0.0], 0.0),
        ([], [], 0.0),
        ([1.0, 2.0], [1.0], math.inf),
    ],
    ids=["relative to the greatest", "zero throughout", "both zero", "no numbers", "another shape"],
)
def test_the_error_of_an_output(a: list[float], b: list[float], error: float) -> None:
    assert relative_error(torch.tensor(a), torch.tensor(b)) == error


def test_all_runs_count_together() -> None:
    error = OutputError()
    error.add(torch.tensor([1.0]), torch.tensor([1.5]))
    error.add(torch.tensor([10.0]), torch.tensor([10.0]))
    assert (error.absolute, error.relative) == (0.5, 0.05)


def test_a_number_that_is_none_is_never_forgotten() -> None:
    error = OutputError()
    for number in (math.nan, 1.0):
        error.add(torch.tensor([1.0]), torch.tensor([number]))
    assert math.isnan(error.relative)
    assert all(math.isnan(greatest(numbers)) for numbers in ([math.nan, 1.0], [1.0, math.nan, 2.0]))


def test_small_differences_of_half_precision_are_seen() -> None:
    a = torch.tensor([2048.0], dtype=torch.float16)
    assert relative_error(a, torch.tensor([2049.0])) == 1 / 2048
