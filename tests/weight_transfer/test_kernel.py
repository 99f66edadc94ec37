"""One convolution, strided over pixels or of stride 1 over blocks: the same function, and the same bits back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from spdbuild.nn import SpaceToDepth
from spdbuild.nn.convolution import PaddedConv2d
from spdbuild.nn.spd import SpdConv2d
from spdbuild.phases import Blocks, Order, Window
from spdbuild.phases import windows as windows_of
from spdbuild.weight_transfer.kernel import PixelKernel, pixels_read, smallest_window

ORDERS = st.sampled_from(["column_row_channel", "row_column_channel", "channel_row_column"])


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a strided convolution, and the image it reads."""
    kernel, padding = ((draw(st.integers(low, high)), draw(st.integers(low, high))) for low, high in ((1, 7), (0, 4)))
    stride = (draw(st.integers(2, 4)), draw(st.integers(1, 4)))
    dilation = draw(st.integers(1, 3))
    groups = draw(st.sampled_from([1, 2, 4]))
    size = (draw(st.integers(1, 19)), draw(st.integers(1, 19)))
    extra = (draw(st.integers(0, 2)), draw(st.integers(0, 2)))
    sides = tuple((p, p + more) for p, more in zip(padding, extra, strict=True))
    assume(all(s + sum(p) > dilation * (k - 1) for s, p, k in zip(size, sides, kernel, strict=True)))
    return {
        "kernel": kernel,
        "stride": stride,
        "padding": sides,
        "dilation": dilation,
        "groups": groups,
        "size": size,
        "order": draw(ORDERS) if groups == 1 else None,
        "spd_kernel": draw(st.sampled_from(["exact", 21])),
    }


@settings(max_examples=200)
@given(convolutions())
def test_a_strided_convolution_becomes_an_spd_convolution_and_comes_back(case: dict[str, Any]) -> None:
    arguments = (4, 8, case["kernel"], case["stride"], case["padding"], case["dilation"], case["groups"])
    strided = PaddedConv2d(*arguments).double()
    spd = SpdConv2d(*arguments, spd_kernel=case["spd_kernel"], order=case["order"]).double()
    moved = PixelKernel.of_window(strided.weight.detach(), spd.windows).in_blocks(spd.block, spd.order, spd.blocks)
    spd.load_state_dict({"weight": moved, "bias": strided.bias})
    x = torch.randn(2, 4, *case["size"], dtype=torch.float64)
    torch.testing.assert_close(spd(x), strided(x), rtol=1e-12, atol=1e-12)
    back = PixelKernel.of_blocks(moved, spd.block, spd.order, over_blocks(spd.blocks))
    assert back.fits(spd.windows)
    assert torch.equal(back.in_window(spd.windows), strided.weight)


def over_blocks(blocks: tuple[Blocks, Blocks]) -> tuple[Window, Window]:
    rows, columns = (Window(axis.kernel, before=axis.before) for axis in blocks)
    return rows, columns


@settings(max_examples=100)
@given(
    kernel=st.integers(1, 4),
    block=st.integers(2, 4),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    order=ORDERS,
    blocks=st.integers(1, 6),
)
def test_space_to_depth_and_a_convolution_are_one_strided_convolution(
    kernel: int, block: int, stride: int, padding: int, dilation: int, order: Order, blocks: int
) -> None:
    """REFERENCE: kernel s*k, stride s, padding s*p, for stride 1 and dilation 1 over the blocks."""
    assume(blocks + 2 * padding > dilation * (kernel - 1))
    weight = torch.randn(5, 3 * block**2, kernel, kernel, dtype=torch.float64)
    x = torch.randn(1, 3, blocks * block, blocks * block, dtype=torch.float64)
    expected = F.conv2d(SpaceToDepth(block, order)(x), weight, None, stride, padding, dilation)
    over = windows_of(kernel, stride, padding, dilation)
    pixels = PixelKernel.of_blocks(weight, (block, block), order, over)
    assert pixels.first == (-block * padding, -block * padding)
    folded = F.conv2d(x, pixels.weight, None, block * stride, block * padding)
    torch.testing.assert_close(folded, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=200)
@given(
    kernel=st.integers(1, 9),
    stride=st.integers(1, 4),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
    dilation=st.integers(1, 3),
    data=st.data(),
)
def test_the_smallest_window_reads_what_is_used_and_keeps_the_output_size(
    kernel: int, stride: int, before: int, after: int, dilation: int, data: st.DataObject
) -> None:
    like = Window(kernel, stride, before, after, dilation)
    used = data.draw(st.sets(st.sampled_from(sorted(pixels_read(like)))))
    window = smallest_window(used, like)
    assert used <= pixels_read(window)
    assert window.before >= 0 <= window.after
    least = dilation * (kernel - 1) + 1 - before - after
    for size in range(max(least, 1), max(least, 1) + 9):
        assert window.output(size) == like.output(size)


@pytest.mark.parametrize(
    ("used", "like", "expected"),
    [
        ({-1, 0, 1}, Window(4, 2, 2, 1), Window(3, 2, 1, 1)),
        ({-2, 0, 2}, Window(6, 2, 2, 2), Window(3, 2, 2, 1, 2)),
        ({0}, Window(4, 2, 2, 1), Window(1, 2, 0, 0)),
        ({1}, Window(2, 2, 0, 0), Window(2, 2, 0, 0)),
        (set(), Window(2, 2, 0, 0), Window(2, 2, 0, 0)),
    ],
    ids=str,
)
def test_the_smallest_window_as_worked_out_by_hand(used: set[int], like: Window, expected: Window) -> None:
    assert smallest_window(used, like) == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_type_of_the_weight_stays(dtype: torch.dtype) -> None:
    weight = torch.randn(2, 3, 3, 3).to(dtype)
    strided = windows_of(3, 2, 1)
    blocks = strided[0].exact_blocks(), strided[1].exact_blocks()
    moved = PixelKernel.of_window(weight, strided).in_blocks((2, 2), "column_row_channel", blocks)
    assert moved.dtype == dtype
    assert (moved != 0).sum() == (weight != 0).sum()
