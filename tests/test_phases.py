"""Blocks and phases against a window that is walked pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spdbuild.errors import ArgumentError, ShapeError
from spdbuild.phases import Blocks, Window, exact_blocks, fitted_blocks, phase_order, tap

KERNELS, STRIDES, PADDINGS, DILATIONS = st.integers(1, 11), st.integers(1, 5), st.integers(0, 8), st.integers(1, 3)


# REFERENCE: the table of strided windows and the kernels that they become, with the padding before and after.
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "blocks"),
    [
        (1, 2, 0, Blocks(1, 0)),
        (2, 2, 0, Blocks(1, 0)),
        (3, 2, 1, Blocks(2, 1)),
        (5, 2, 2, Blocks(3, 1)),
        (6, 2, 2, Blocks(3, 1)),
        (7, 2, 3, Blocks(4, 2)),
        (7, 4, 3, Blocks(2, 1)),
        (11, 4, 2, Blocks(4, 1)),
    ],
)
def test_known_windows_become_the_known_blocks(kernel: int, stride: int, padding: int, blocks: Blocks) -> None:
    assert exact_blocks(kernel, stride, padding) == blocks


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "blocks"),
    [
        (3, 2, 1, Blocks(3, 1)),
        (7, 2, 3, Blocks(7, 3)),
        # Whole blocks are what they are: REFERENCE.md 2.4, "taps used" 36/36 and 4/4.
        (6, 2, 2, Blocks(3, 1)),
        (2, 2, 0, Blocks(1, 0)),
        (4, 4, 0, Blocks(1, 0)),
        # As many taps, but they lie across blocks.
        (6, 2, 1, Blocks(6, 2)),
    ],
)
def test_the_kernel_as_it_was_is_exact_for_whole_blocks(kernel: int, stride: int, padding: int, blocks: Blocks) -> None:
    assert Window(kernel, stride, padding, padding).blocks("same") == blocks


@given(KERNELS, STRIDES, PADDINGS, DILATIONS, st.integers(0, 20))
def test_block_and_phase_of_a_tap_lead_to_the_pixel_that_it_reads(
    kernel: int, stride: int, padding: int, dilation: int, output: int
) -> None:
    for u in range(kernel):
        block, phase = tap(u, stride, padding, dilation)
        assert 0 <= phase < stride
        assert stride * (output + block) + phase == stride * output + u * dilation - padding


@given(KERNELS, STRIDES, PADDINGS, DILATIONS)
def test_the_exact_window_begins_and_ends_with_blocks_that_are_read(
    kernel: int, stride: int, padding: int, dilation: int
) -> None:
    read = {(u * dilation - padding) // stride for u in range(kernel)}
    blocks = exact_blocks(kernel, stride, padding, dilation)
    assert (-blocks.before, blocks.after) == (min(read), max(read))


@given(st.integers(1, 9), KERNELS, STRIDES, PADDINGS)
def test_a_given_kernel_covers_the_exact_window_or_lies_within_it(
    wanted: int, kernel: int, stride: int, padding: int
) -> None:
    exact = exact_blocks(kernel, stride, padding)
    fitted = fitted_blocks(wanted, exact)
    assert fitted.kernel == wanted
    assert fitted.covers(exact) if wanted >= exact.kernel else exact.covers(fitted)


@given(st.integers(1, 9), KERNELS, STRIDES, PADDINGS)
def test_a_given_kernel_is_as_near_to_the_middle_as_it_can_be(
    wanted: int, kernel: int, stride: int, padding: int
) -> None:
    exact = exact_blocks(kernel, stride, padding)
    middle = (wanted - 1) // 2
    allowed = [
        before
        for before in range(wanted + exact.kernel + padding + 1)
        if (candidate := Blocks(wanted, before)).covers(exact) or exact.covers(candidate)
    ]
    assert abs(fitted_blocks(wanted, exact).before - middle) == min(abs(before - middle) for before in allowed)


@given(KERNELS, st.integers(1, 5), st.data(), st.booleans(), st.integers(1, 30))
def test_the_number_of_outputs_is_that_of_torch(
    kernel: int, stride: int, data: st.DataObject, ceil: bool, size: int
) -> None:
    padding = data.draw(st.integers(0, kernel // 2))
    window = Window(kernel, stride, padding, padding, ceil=ceil)
    try:
        expected = nn.AvgPool1d(kernel, stride, padding, ceil)(torch.zeros(1, 1, size)).shape[-1]
    except RuntimeError:
        with pytest.raises(ShapeError):
            window.output(size)
    else:
        assert window.output(size) == expected


def test_groups_take_the_order_that_leaves_their_channels_together() -> None:
    assert phase_order(None, 1) == "column_row_channel"
    assert phase_order(None, 4) == "channel_row_column"
    with pytest.raises(ArgumentError, match="order must be 'channel_row_column' with groups=4, got 'row_column_channe"):
        phase_order("row_column_channel", 4)
