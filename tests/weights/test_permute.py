"""Weights in another form compute the same: shown with torch's own convolutions and numpy's own indexing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, pixel_unshuffle

from spdbuild.errors import ShapeError
from spdbuild.phases import Order
from spdbuild.weights.permute import fold_kernel, folding_block, permute_order, unfold_kernel

ORDERS: tuple[Order, ...] = ("column_row_channel", "row_column_channel", "channel_row_column")


def space_to_depth(x: np.ndarray, height: int, width: int, order: Order) -> torch.Tensor:
    """Slices put one behind the other, by the definition of each order."""
    axes = {"row": range(height), "column": range(width), "channel": range(x.shape[1])}
    names = order.split("_")
    channels = []
    for indices in itertools.product(*(axes[name] for name in names)):
        at = dict(zip(names, indices, strict=True))
        channels.append(x[:, at["channel"], at["row"] :: height, at["column"] :: width])
    return torch.from_numpy(np.stack(channels, 1))


@pytest.mark.parametrize("block", [(2, 2), (3, 3), (1, 2), (3, 2)], ids=str)
@pytest.mark.parametrize(("source", "target"), list(itertools.product(ORDERS, ORDERS)))
def test_a_convolution_behind_another_order_computes_the_same(
    source: Order, target: Order, block: tuple[int, int]
) -> None:
    generator = np.random.default_rng(0)
    height, width = block
    x = generator.standard_normal((1, 5, 4 * height, 4 * width))
    weight = torch.from_numpy(generator.standard_normal((7, 5 * height * width, 3, 3)))
    expected = conv2d(space_to_depth(x, height, width, source), weight)
    moved = permute_order(weight, source, target, block)
    torch.testing.assert_close(conv2d(space_to_depth(x, height, width, target), moved), expected)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(ORDERS, ORDERS)))
def test_a_vector_follows_the_channels(source: Order, target: Order) -> None:
    pixels = np.arange(12.0).reshape(1, 3, 2, 2)
    vector = space_to_depth(pixels, 2, 2, source).flatten()
    moved = permute_order(vector, source, target, axis=0)
    assert moved.tolist() == space_to_depth(pixels, 2, 2, target).flatten().tolist()


def test_the_published_permutation_of_three_channels() -> None:
    """REFERENCE: from pixel_unshuffle's order to SPD-Conv's, for C = 3."""
    moved = permute_order(torch.arange(12), "channel_row_column", "column_row_channel", axis=0)
    assert moved.tolist() == [0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11]


def test_channels_that_are_no_whole_blocks_are_refused() -> None:
    with pytest.raises(ShapeError, match="6 channels are no multiple of the 2x2 pixels of a block"):
        permute_order(torch.zeros(1, 6, 1, 1), "row_column_channel", "channel_row_column")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("block", "kernel", "padding"), [(2, (3, 3), 1), (2, (1, 1), 0), (3, (2, 3), 1), (4, (2, 2), 0)]
)
def test_a_folded_kernel_is_the_strided_convolution(
    order: Order, block: int, kernel: tuple[int, int], padding: int
) -> None:
    """Space-to-depth and a k x k convolution with padding p are an s*k convolution with stride s and padding s*p."""
    generator = np.random.default_rng(1)
    x = generator.standard_normal((2, 3, 6 * block, 5 * block))
    weight = torch.from_numpy(generator.standard_normal((4, 3 * block**2, *kernel)))
    expected = conv2d(space_to_depth(x, block, block, order), weight, padding=padding)
    folded = fold_kernel(weight, block, order)
    actual = conv2d(torch.from_numpy(x), folded, stride=block, padding=block * padding)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(unfold_kernel(folded, block, order), weight, rtol=0, atol=0)


def test_the_stem_of_yolov5_unfolds_behind_torchs_own_pixel_unshuffle() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(16, 3, 6, 6, dtype=torch.float64, generator=generator)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=generator)
    stem = unfold_kernel(weight, 2, "channel_row_column")
    assert stem.shape == (16, 12, 3, 3)
    torch.testing.assert_close(conv2d(pixel_unshuffle(x, 2), stem, padding=1), conv2d(x, weight, stride=2, padding=2))


@pytest.mark.parametrize(
    ("wide", "deep", "block"),
    [
        ((16, 3, 6, 6), (16, 12, 3, 3), 2),
        ((16, 3, 9, 6), (16, 27, 3, 2), 3),
        ((16, 12, 3, 3), (16, 3, 6, 6), None),
        ((16, 3, 6, 6), (8, 12, 3, 3), None),
        ((16, 3, 6, 6), (16, 12, 3, 1), None),
        ((16, 3, 6, 6), (16, 9, 3, 3), None),
        ((16, 3, 3, 3), (16, 3, 3, 3), None),
        ((16, 0, 6, 6), (16, 0, 3, 3), None),
        ((16, 12), (16, 3), None),
    ],
)
def test_the_block_is_told_from_the_shapes(wide: tuple[int, ...], deep: tuple[int, ...], block: int | None) -> None:
    assert folding_block(wide, deep) == block
