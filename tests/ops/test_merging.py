"""Shapes of what is merged, beside those of torch."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from spdbuild.ops.merging import Mul
from spdbuild.shape import Shape


@pytest.mark.parametrize("inputs", [*permutations([(4, 5, 6), (4, 1, 1), (4,)]), ((4,), (4, 1, 1)), ((4, 1, 1), (4,))])
def test_factors_may_come_in_any_order(inputs: tuple[tuple[int, ...], ...]) -> None:
    op, shapes = Mul(), [Shape(*sizes) for sizes in inputs]
    assert op.shape(*shapes) == op.module(*shapes)(*(torch.rand(1, *sizes) for sizes in inputs)).shape[1:]
