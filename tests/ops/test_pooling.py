"""Sizes of pools at the edge, beside those of torch."""

from __future__ import annotations

import pytest
import torch

from spdbuild.ops.pooling import AvgPool, MaxPool
from spdbuild.ops.spd import SpdAvgPool
from spdbuild.shape import Shape


@pytest.mark.parametrize("pool", [MaxPool, AvgPool])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(1, 2, 0, 4), (2, 3, 0, 3), (2, 3, 0, 6), (2, 4, 0, 5), (2, 2, 1, 3), (4, 3, 2, 4)],
)
def test_a_last_window_that_would_begin_behind_the_image_does_not_count(
    pool: type[MaxPool | AvgPool], kernel: int, stride: int, padding: int, size: int
) -> None:
    op, x = pool(kernel, stride=stride, padding=padding, ceil=True), Shape(2, size, size)
    assert op.shape(x) == op.module(x)(torch.rand(1, *x)).shape[1:]


@pytest.mark.parametrize(
    ("arguments", "exact"),
    [
        ({}, True),
        ({"count_padding": False}, True),
        ({"count_padding": False, "padding": 1}, False),
        ({"ceil": True}, False),
    ],
    ids=str,
)
def test_what_replaces_an_average_pool_says_whether_it_computes_the_same(
    arguments: dict[str, int], exact: bool
) -> None:
    assert SpdAvgPool(2, stride=2, **arguments).is_exact() is exact
