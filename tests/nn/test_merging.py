"""Merging as modules: what a network says whose maps do not meet."""

from __future__ import annotations

import pytest
import torch

import spdbuild
from spdbuild.errors import ShapeError
from spdbuild.nn.merging import Concat


def test_maps_of_different_sizes_are_told_with_what_sizes_images_may_have() -> None:
    """REFERENCE.md 2.3: images of 48 pixels are refused, those of 64 are not."""
    model = spdbuild.build(spdbuild.load("yolov5_spd", variant="n")).eval()
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
        with pytest.raises(ShapeError) as error:
            model(torch.zeros(1, 3, 48, 48))
    assert str(error.value) == (
        "error: concat: inputs must have the same height and width, got 128x4x4 and 128x3x3\n"
        "      = hint: height and width of the images must be multiples of the network's coarsest stride, which is 32 "
        "for YOLOv5"
    )


def test_other_errors_of_torch_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        Concat()(torch.zeros(1, 3, 4, 4), torch.zeros(2, 3, 4, 4))


def test_a_concatenation_is_exported_and_compiled_whole() -> None:
    inputs = torch.randn(1, 3, 4, 4), torch.randn(1, 2, 4, 4)
    expected = torch.cat(inputs, 1)
    side = torch.export.Dim("side")
    program = torch.export.export(Concat(), (*inputs,), dynamic_shapes={"inputs": ({2: side}, {2: side})}, strict=True)
    assert torch.equal(program.module()(*inputs), expected)
    assert torch.equal(torch.compile(Concat(), fullgraph=True, backend="eager")(*inputs), expected)
    assert torch.equal(torch.fx.symbolic_trace(_Both())(*inputs), expected)


class _Both(torch.nn.Module):
    """A network of two inputs, as torch.fx needs a fixed number of them."""

    def __init__(self) -> None:
        super().__init__()
        self.concat = Concat()

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        merged: torch.Tensor = self.concat(x, y)
        return merged
