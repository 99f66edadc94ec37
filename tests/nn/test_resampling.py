"""Channel orders of space-to-depth against the formulas of those who use them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from spdbuild.errors import ShapeError
from spdbuild.nn import DepthToSpace, SpaceToDepth
from spdbuild.nn.resampling import space_to_depth
from spdbuild.phases import Order

ORDERS: tuple[Order, ...] = ("column_row_channel", "row_column_channel", "channel_row_column")
BLOCKS = [(2, 2), (1, 3), (3, 2)]

#: Output channel of row phase y, column phase x, input channel c, for C channels in blocks of h rows and w columns.
CHANNEL = {
    "column_row_channel": lambda y, x, c, h, w, C: (x * h + y) * C + c,
    "row_column_channel": lambda y, x, c, h, w, C: (y * w + x) * C + c,
    "channel_row_column": lambda y, x, c, h, w, C: (c * h + y) * w + x,
}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_each_pixel_goes_to_the_channel_of_its_order(order: Order, block: tuple[int, int]) -> None:
    h, w = block
    x = np.random.default_rng(0).standard_normal((2, 5, 4 * h, 3 * w))
    expected = np.empty((2, 5 * h * w, 4, 3))
    for c in range(5):
        for row in range(h):
            for column in range(w):
                expected[:, CHANNEL[order](row, column, c, h, w, 5)] = x[:, c, row::h, column::w]
    assert np.array_equal(SpaceToDepth(block, order)(torch.from_numpy(x)).numpy(), expected)


@pytest.mark.parametrize(
    ("order", "expected"),
    [("column_row_channel", [0, 4, 2, 6, 1, 5, 3, 7]), ("channel_row_column", [0, 1, 2, 3, 4, 5, 6, 7])],
)
def test_the_eight_numbers_of_the_published_example(order: Order, expected: list[int]) -> None:
    x = torch.arange(8).reshape(1, 2, 2, 2)
    assert SpaceToDepth(2, order)(x).flatten().tolist() == expected


def test_the_order_with_channels_first_is_pixel_unshuffle() -> None:
    x = torch.randn(2, 3, 6, 9)
    assert torch.equal(SpaceToDepth(3, "channel_row_column")(x), F.pixel_unshuffle(x, 3))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_depth_to_space_is_the_inverse_in_both_memory_formats(
    order: Order, block: tuple[int, int], memory_format: torch.memory_format
) -> None:
    x = torch.randn(2, 5, 12, 6).to(memory_format=memory_format)
    deep = SpaceToDepth(block, order)(x)
    assert torch.equal(deep, SpaceToDepth(block, order)(x.contiguous()))
    assert deep.is_contiguous(memory_format=memory_format)
    assert torch.equal(DepthToSpace(block, order)(deep), x)
    assert DepthToSpace(block, order)(deep).is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("module", [SpaceToDepth, DepthToSpace])
@pytest.mark.parametrize("order", ORDERS)
def test_gradients_have_the_memory_format_of_the_input(
    module: type[nn.Module], order: Order, memory_format: torch.memory_format
) -> None:
    x = torch.randn(2, 8, 4, 6).to(memory_format=memory_format).requires_grad_()
    y = module(2, order)(x)
    upstream = torch.randn(y.shape).to(memory_format=memory_format)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    inverse = {SpaceToDepth: DepthToSpace, DepthToSpace: SpaceToDepth}[module]
    assert torch.equal(gradient, inverse(2, order)(upstream))
    assert gradient.is_contiguous(memory_format=memory_format)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
@pytest.mark.parametrize("order", ORDERS)
def test_vmap_runs_over_both_directions(order: Order, memory_format: torch.memory_format) -> None:
    batches = torch.stack([torch.randn(2, 4, 4, 6).to(memory_format=memory_format) for _ in range(3)])
    # A stack of channels_last tensors is not contiguous, batch by batch.
    if memory_format == torch.channels_last:
        batches = batches.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    for module in (SpaceToDepth(order=order), DepthToSpace(order=order)):
        expected = torch.stack([module(batch) for batch in batches])
        assert torch.equal(torch.vmap(module)(batches), expected)


def test_odd_sizes_are_filled_with_zeros_at_the_right_and_bottom() -> None:
    x = torch.randn(1, 2, 5, 7)
    padded = torch.zeros(1, 2, 6, 8)
    padded[:, :, :5, :7] = x
    assert torch.equal(SpaceToDepth(2)(x), SpaceToDepth(2)(padded))


def test_odd_sizes_are_refused_on_request() -> None:
    with pytest.raises(ShapeError, match=r"height and width must be multiples of \(2, 2\), got \(5, 8\)"):
        SpaceToDepth(2, odd="error")(torch.zeros(1, 1, 5, 8))


class Copies(TorchDispatchMode):
    """Counts the operations that write a new tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if not func.is_view and func._schema.name != "aten::_unsafe_view":
            self.names.append(func._schema.name)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_memory_is_written_once(order: Order, memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 5, 4, 6).to(memory_format=memory_format)
    with Copies() as copies:
        SpaceToDepth(2, order)(x)
    assert copies.names == ["aten::clone"]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_sizes_with_names_are_left_open_in_an_export(order: Order, memory_format: torch.memory_format) -> None:
    class Padded(nn.Module):
        """As SPD-Conv pads: to a number of blocks that follows from the output of the strided convolution."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            height, width = ((size - 1) // 2 + 2 for size in x.shape[2:])
            padded = F.pad(x, (2, 2 * width - x.shape[3] - 2, 2, 2 * height - x.shape[2] - 2))
            return space_to_depth(padded, (2, 2), order)

    x = torch.randn(1, 3, 12, 10).to(memory_format=memory_format)
    sizes = {2: torch.export.Dim("height", min=8, max=64), 3: torch.export.Dim("width", min=8, max=64)}
    exported = torch.export.export(Padded(), (x,), dynamic_shapes=(sizes,)).module()
    for height, width in ((12, 10), (9, 8), (15, 21)):
        x = torch.randn(1, 3, height, width).to(memory_format=memory_format)
        assert torch.equal(exported(x), Padded()(x))
        assert exported(x).is_contiguous(memory_format=memory_format)
