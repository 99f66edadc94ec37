"""What ops refuse, word for word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from spdbuild.declaring.arguments import construct
from spdbuild.errors import ArgumentError, ShapeError
from spdbuild.ops import OPS
from spdbuild.shape import Shape

IMAGE, VECTOR = Shape(6, 9, 9), Shape(6)
LEVEL = [[10, 13], [16, 30]]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("conv2d", {"out": 0}, "out must be between 1 and 1000000, got 0"),
        ("conv2d", {"out": 10**7}, "out must be between 1 and 1000000, got 10000000"),
        ("conv2d", {"out": 4, "stride": [2, 0]}, "stride must be between 1 and 1000000, got 0"),
        ("conv2d", {"out": 4, "padding": [[0, -1], [0, 0]]}, "padding must be between 0 and 1000000, got -1"),
        ("spd_conv2d", {"out": 4, "spd_kernel": 0}, "spd_kernel must be between 1 and 1000000, got 0"),
        (
            "spd_conv2d",
            {"out": 4, "groups": 2, "order": "row_column_channel"},
            "order must be 'channel_row_column' with groups=2, got 'row_column_channel'",
        ),
        ("max_pool", {"kernel": 3, "padding": 2}, "padding must be at most half the kernel, got 2x2 for kernel 3x3"),
        ("max_pool", {"kernel": 3, "dilation": 0}, "dilation must be between 1 and 1000000, got 0"),
        ("adaptive_avg_pool", {"size": 0}, "size must be between 1 and 1000000, got 0"),
        ("space_to_depth", {"block": 0}, "block must be between 1 and 1000000, got 0"),
        ("upsample", {"factor": 0}, "factor must be between 1 and 1000000, got 0"),
        ("conv_transpose2d", {"out": 4, "kernel": 0}, "kernel must be between 1 and 1000000, got 0"),
        (
            "conv_transpose2d",
            {"out": 4, "kernel": 3, "stride": 2, "output_padding": 2},
            "output_padding must be less than stride or dilation, got 2",
        ),
        ("split", {"parts": []}, "parts must be at least 1, got an empty list"),
        ("split", {"parts": 0}, "parts must be between 1 and 1000000, got 0"),
        ("batch_norm", {"epsilon": 0}, "epsilon must be more than 0, got 0.0"),
        ("layer_norm", {"epsilon": math.nan}, "epsilon must be a finite number, got nan"),
        ("instance_norm", {"epsilon": math.inf}, "epsilon must be a finite number, got inf"),
        ("batch_norm", {"momentum": 2}, "momentum must be between 0 and 1, got 2.0"),
        ("dropout", {"rate": 1.5}, "rate must be between 0 and 1, got 1.5"),
        ("detect", {"classes": 0, "anchors": [LEVEL]}, "classes must be between 1 and 1000000, got 0"),
        ("detect", {"classes": 3, "anchors": []}, "each level must have the same number of anchors, got none"),
        (
            "detect",
            {"classes": 3, "anchors": [LEVEL, LEVEL[:1]]},
            "each level must have the same number of anchors, got 1 and 2",
        ),
        ("detect", {"classes": 3, "anchors": [[[0, 3]]]}, "anchors must have a width and a height greater than 0"),
        (
            "detect",
            {"classes": 3, "anchors": {"p3": LEVEL}, "strides": [8, 16]},
            "strides must have one entry per level of anchors, got 2 for 1",
        ),
    ],
)
def test_an_argument_out_of_range(name: str, arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        construct(OPS[name], arguments)
    assert error.value.problems[0].message == message


@pytest.mark.parametrize(
    ("name", "arguments", "inputs", "message"),
    [
        ("conv2d", {"out": 4}, [VECTOR], "needs an image (channels, height, width), got 6"),
        (
            "conv2d",
            {"out": 4, "groups": 4},
            [IMAGE],
            "groups=4 must divide the input channels and out, got 6 and 4",
        ),
        (
            "conv2d",
            {"out": 4, "kernel": 11, "padding": 0},
            [IMAGE],
            "a window of 11 pixels does not fit into 9 (size 9 and its padding)",
        ),
        ("group_norm", {"groups": 4}, [IMAGE], "groups=4 must divide the input channels, got 6"),
        ("group_norm", {"groups": 6}, [VECTOR], "one value has no variance, got 6 in 6 groups"),
        ("add", {}, [IMAGE, VECTOR], "add: inputs must have the same shape, got 6x9x9 and 6"),
        (
            "mul",
            {},
            [IMAGE, Shape(3, 1, 1)],
            "mul: 3x1x1 cannot scale 6x9x9; its channels must agree, and its size must agree or be 1x1",
        ),
        (
            "concat",
            {},
            [IMAGE, Shape(6, 9, 8)],
            "concat: inputs must have the same height and width, got 6x9x9 and 6x9x8",
        ),
        ("split", {"parts": 4}, [IMAGE], "split: parts=4 must divide the input channels, got 6"),
        ("split", {"parts": [1, 2]}, [IMAGE], "split: parts=[1, 2] must add up to 6 channels"),
        ("linear", {"out": 4}, [IMAGE], "linear reads a vector, got an image of 6x9x9"),
        (
            "space_to_depth",
            {"odd": "error"},
            [IMAGE],
            "height and width must be multiples of the block 2x2, got 6x9x9",
        ),
        ("depth_to_space", {}, [IMAGE], "channels must be a multiple of the 2x2 pixels of a block, got 6"),
        ("detect", {"classes": 3, "anchors": [LEVEL]}, [IMAGE] * 2, "detect has anchors for 1 level, got 2 inputs"),
        (
            "detect",
            {"classes": 3, "anchors": [LEVEL, LEVEL]},
            [Shape(6, 4, 4), Shape(6, 8, 8)],
            "detect: levels of strides 8 and 16 cannot have the sizes 4x4 and 8x8",
        ),
    ],
)
def test_shapes_that_do_not_fit(name: str, arguments: Mapping[str, Any], inputs: list[Shape], message: str) -> None:
    with pytest.raises(ShapeError) as error:
        construct(OPS[name], arguments).shape(*inputs)
    assert error.value.problems[0].message == message


@pytest.mark.parametrize("size", [224, 225, 231])
def test_levels_of_one_image_of_any_size_belong_together(size: int) -> None:
    levels = [Shape(6, -(-size // stride), size // stride) for stride in (8, 16, 32)]
    op = construct(OPS["detect"], {"classes": 3, "anchors": [LEVEL] * 3})
    assert len(op.shape(*levels)) == 3
    op.check_image(Shape(3, size, size), *levels)


def test_borders_without_padding_do_not_speak_against_strides() -> None:
    op = construct(OPS["detect"], {"classes": 3, "anchors": [LEVEL] * 3})
    op.check_image(Shape(3, 224, 224), Shape(6, 24, 24), Shape(6, 11, 11), Shape(6, 5, 5))
    with pytest.raises(ShapeError, match="maps of 28x56, 14x28 and 7x14|maps of 28x56 and 14x28 and 7x14"):
        op.check_image(Shape(3, 224, 224), Shape(6, 28, 56), Shape(6, 14, 28), Shape(6, 7, 14))
