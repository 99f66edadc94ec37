"""SPD-Conv in the place of strided layers: with their weights it computes what they compute."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from spdbuild.errors import ArgumentError
from spdbuild.nn import PaddedConv2d, SameSpdConv2d, SpaceToDepth, SpdAvgPool2d, SpdConv2d, SpdMaxPool2d
from spdbuild.phases import Order, tap

SIZES = st.integers(1, 14)


def carry_over(strided: nn.Conv2d, padding: tuple[int, int], spd: SpdConv2d) -> None:
    """Write each weight of the strided convolution to its block and phase, tap by tap."""
    (s_h, s_w), (rows, columns), order = spd.block, spd.blocks, spd.order
    channels = strided.in_channels // strided.groups
    weight = torch.zeros_like(spd.weight)
    for c, u, v in product(range(channels), *map(range, strided.kernel_size)):
        row_block, y = tap(u, s_h, padding[0], strided.dilation[0])
        column_block, x = tap(v, s_w, padding[1], strided.dilation[1])
        channel = {
            "column_row_channel": (x * s_h + y) * channels + c,
            "row_column_channel": (y * s_w + x) * channels + c,
            "channel_row_column": (c * s_h + y) * s_w + x,
        }[order]
        weight[:, channel, rows.before + row_block, columns.before + column_block] = strided.weight[:, c, u, v]
    state = {**strided.state_dict(), "weight": weight}
    spd.load_state_dict(state)


@settings(max_examples=150)
@given(
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilation=st.integers(1, 2),
    size=st.tuples(SIZES, SIZES),
    groups=st.sampled_from([1, 2]),
    spd_kernel=st.sampled_from(["exact", 15]),
    order=st.sampled_from(["column_row_channel", "row_column_channel", "channel_row_column"]),
)
def test_with_the_weights_of_a_strided_convolution_it_is_that_convolution(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: int,
    size: tuple[int, int],
    groups: int,
    spd_kernel: int,
    order: Order,
) -> None:
    assume(all(s + 2 * p > dilation * (k - 1) for s, p, k in zip(size, padding, kernel, strict=True)))
    arguments = (4, 2, kernel, stride, padding, dilation, groups)
    strided = nn.Conv2d(*arguments).double()
    spd = SpdConv2d(*arguments, spd_kernel=spd_kernel, order=order if groups == 1 else None).double()
    carry_over(strided, padding, spd)
    x = torch.randn(2, 4, *size, dtype=torch.float64)
    torch.testing.assert_close(spd(x), strided(x), rtol=1e-12, atol=1e-12)


def test_asymmetric_padding_is_that_of_the_padded_convolution() -> None:
    sides = ((1, 0), (2, 3))
    strided = PaddedConv2d(3, 4, 3, 2, sides).double()
    spd = SpdConv2d(3, 4, 3, 2, sides).double()
    carry_over(strided, (1, 2), spd)
    x = torch.randn(1, 3, 9, 10, dtype=torch.float64)
    torch.testing.assert_close(spd(x), strided(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("spd_kernel", "expected"), [("exact", (2, 2)), ("same", (3, 3)), (1, (1, 1)), (5, (5, 5))])
@pytest.mark.parametrize("size", [8, 9, 13])
def test_every_kernel_gives_the_output_size_of_the_strided_convolution(
    spd_kernel: int, expected: tuple[int, int], size: int
) -> None:
    spd = SpdConv2d(3, 4, 3, 2, 1, spd_kernel=spd_kernel)
    assert spd.kernel_size == expected
    assert spd(torch.zeros(1, 3, size, size)).shape == nn.Conv2d(3, 4, 3, 2, 1)(torch.zeros(1, 3, size, size)).shape


@settings(max_examples=60)
@given(
    kernel=st.integers(1, 5), stride=st.integers(1, 4), data=st.data(), size=st.tuples(SIZES, SIZES), ceil=st.booleans()
)
def test_pools_keep_their_output_size(
    kernel: int, stride: int, data: st.DataObject, size: tuple[int, int], ceil: bool
) -> None:
    padding = data.draw(st.integers(0, kernel // 2))
    assume(min(size) + 2 * padding >= kernel)
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)
    x = torch.zeros(1, 2, *size)
    for spd in (
        SpdMaxPool2d(2, kernel, stride, padding, ceil_mode=ceil),
        SpdAvgPool2d(2, kernel, stride, padding, ceil),
    ):
        assert spd(x).shape == pool(x).shape


@pytest.mark.parametrize("size", [(8, 8), (9, 7)], ids=str)
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (5, 3, 2), ((3, 2), (2, 1), 1)])
def test_an_average_pool_begins_as_exactly_the_average(
    kernel: int, stride: int, padding: int, size: tuple[int, int]
) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    spd = SpdAvgPool2d(3, kernel, stride, padding).double()
    spd.reset_parameters()
    torch.testing.assert_close(spd(x), nn.AvgPool2d(kernel, stride, padding)(x), rtol=1e-12, atol=1e-12)


def test_a_max_pool_begins_as_the_mean_of_its_block() -> None:
    x = torch.randn(2, 3, 8, 6)
    spd = SpdMaxPool2d(3, 3, 2, 1)
    assert spd.weight.shape == (3, 12, 1, 1)
    torch.testing.assert_close(spd(x), nn.AvgPool2d(2)(x))


def test_gradients_reach_every_pixel_and_every_weight() -> None:
    x = torch.rand(1, 2, 7, 7, requires_grad=True)
    spd = SpdConv2d(2, 3, 3, 2, 1)
    spd(x).square().sum().backward()
    assert x.grad is not None
    assert spd.weight.grad is not None
    assert (x.grad != 0).all()
    assert (spd.weight.grad != 0).all()


def test_a_convolution_of_channels_last_stays_channels_last() -> None:
    x = torch.randn(2, 4, 9, 9).to(memory_format=torch.channels_last)
    spd = SpdConv2d(4, 8, 3, 2, 1).to(memory_format=torch.channels_last)
    assert spd(x).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(spd(x), spd(x.contiguous()))


MODULES = [
    SpaceToDepth(2),
    SpdConv2d(4, 6, 3, 2, 1),
    SpdConv2d(4, 6, 2, 2),
    SameSpdConv2d(4, 6, 3, 2),
    SpdMaxPool2d(4, 3, 2, 1),
]


@pytest.mark.parametrize("module", MODULES, ids=str)
@pytest.mark.parametrize("size", [8, 9])
def test_torch_compile_finds_no_graph_break(module: nn.Module, size: int) -> None:
    x = torch.randn(2, 4, size, size)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), module(x))


def exported(module: nn.Module, x: Tensor) -> nn.Module:
    """The module exported for any batch, height and width."""
    dynamic = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    return torch.export.export(module, (x,), dynamic_shapes=(dynamic,)).module()


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_torch_export_takes_it_for_any_batch(module: nn.Module) -> None:
    x = torch.randn(2, 4, 8, 8)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    x = torch.randn(5, 4, 8, 8)
    torch.testing.assert_close(program(x), module(x))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_torch_export_takes_it_for_any_size(module: nn.Module) -> None:
    program = exported(module, torch.randn(2, 4, 8, 8))
    x = torch.randn(5, 4, 12, 20)
    torch.testing.assert_close(program(x), module(x))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_paddings_in_words_are_those_of_torch() -> None:
    x = torch.randn(1, 3, 9, 8, dtype=torch.float64)
    for arguments in ((4, (3, 4), 1, "same", 2), (4, 3, 2, "valid")):
        strided, spd = nn.Conv2d(3, *arguments).double(), SpdConv2d(3, *arguments).double()
        assert spd(x).shape == strided(x).shape
    same = nn.Conv2d(3, 4, (3, 4), padding="same").double()
    spd = SpdConv2d(3, 4, (3, 4), padding="same").double()
    spd.load_state_dict(same.state_dict())
    torch.testing.assert_close(spd(x), same(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding_mode": "reflect"}, "padding_mode must be 'zeros', got 'reflect'"),
        ({"padding": "same"}, "padding cannot be 'same' with stride=2"),
        ({"padding": "full"}, "padding cannot be 'full'"),
    ],
    ids=str,
)
def test_paddings_that_it_does_not_have_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SpdConv2d(3, 4, 3, 2, **options)


def test_dtype_and_device_are_arguments() -> None:
    for spd in (SpdConv2d(3, 4, 3, 2, dtype=torch.float16, device="meta"), SpdAvgPool2d(3, 2, 2, dtype=torch.float16)):
        assert spd.weight.dtype == torch.float16
    pool = SpdAvgPool2d(1, 3, 2, dtype=torch.float64)
    assert pool.weight.max() == torch.tensor(1 / 3, dtype=torch.float64) ** 2
