"""Further examples of ops for the contract tests: odd sizes, every argument at another value."""

from __future__ import annotations

from spdbuild.ops import Example
from spdbuild.ops.activation import Elu, LeakyRelu, Prelu, Softmax
from spdbuild.ops.convolution import Conv2d, ConvTranspose2d
from spdbuild.ops.dense import Flatten, Linear
from spdbuild.ops.detection import Detect
from spdbuild.ops.merging import Add, Concat, Mul, Split
from spdbuild.ops.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LayerScale
from spdbuild.ops.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from spdbuild.ops.regularization import Dropout, StochasticDepth
from spdbuild.ops.resampling import DepthToSpace, SpaceToDepth, Upsample
from spdbuild.ops.spd import SpdAvgPool, SpdConv2d, SpdMaxPool
from spdbuild.shape import Shape

#: By the name of the op.
MORE = {
    "leaky_relu": [Example(LeakyRelu(slope=0.1), [Shape(7)], Shape(7))],
    "prelu": [Example(Prelu(per_channel=True, slope=0.1), [Shape(7)], Shape(7))],
    "elu": [Example(Elu(alpha=0.5), [Shape(7)], Shape(7))],
    "softmax": [Example(Softmax(), [Shape(7)], Shape(7))],
    "conv2d": [
        Example(Conv2d(8, bias=True), [Shape(4, 5, 7)], Shape(8, 5, 7)),
        Example(Conv2d(6, kernel=(5, 3), stride=(2, 1), dilation=(1, 2)), [Shape(4, 10, 11)], Shape(6, 5, 11)),
        Example(Conv2d(12, kernel=3, groups=4, padding=0), [Shape(8, 7, 7)], Shape(12, 5, 5)),
        Example(Conv2d(8, kernel=3, groups=8, padding=(2, 1)), [Shape(8, 6, 6)], Shape(8, 8, 6)),
        Example(Conv2d(5, kernel=2, padding=((1, 0), (0, 1))), [Shape(3, 6, 8)], Shape(5, 6, 8)),
        Example(Conv2d(32, kernel=6, stride=2), [Shape(3, 32, 32)], Shape(32, 16, 16)),
    ],
    "conv_transpose2d": [
        Example(
            ConvTranspose2d(6, kernel=3, stride=2, padding=1, output_padding=1), [Shape(4, 5, 6)], Shape(6, 10, 12)
        ),
        Example(
            ConvTranspose2d(8, kernel=(4, 3), stride=(2, 1), padding=1, bias=True), [Shape(4, 5, 7)], Shape(8, 10, 7)
        ),
        Example(ConvTranspose2d(8, kernel=3, groups=4, dilation=2), [Shape(4, 5, 5)], Shape(8, 9, 9)),
    ],
    "flatten": [Example(Flatten(), [Shape(7)], Shape(7))],
    "linear": [Example(Linear(3, bias=False), [Shape(5)], Shape(3))],
    "detect": [Example(Detect(1, {"p4": [[8.5, 8.5]]}, strides=(4,)), [Shape(6, 5, 5)], (Shape(1, 5, 5, 6),))],
    "add": [Example(Add(), [Shape(4)] * 3, Shape(4))],
    "mul": [
        Example(Mul(), [Shape(4), Shape(4, 5, 6), Shape(4, 5, 6)], Shape(4, 5, 6)),
        Example(Mul(), [Shape(4), Shape(4)], Shape(4)),
        Example(Mul(), [Shape(4, 1, 1), Shape(4)], Shape(4, 1, 1)),
    ],
    "concat": [Example(Concat(), [Shape(3), Shape(2), Shape(4)], Shape(9))],
    "split": [
        Example(Split((1, 5)), [Shape(6, 4, 5)], (Shape(1, 4, 5), Shape(5, 4, 5))),
        Example(Split(3), [Shape(6)], (Shape(2), Shape(2), Shape(2))),
    ],
    "batch_norm": [
        Example(BatchNorm(epsilon=1e-3, momentum=0.03, affine=False), [Shape(4, 3, 3)], Shape(4, 3, 3)),
        Example(BatchNorm(), [Shape(16)], Shape(16)),
    ],
    "group_norm": [Example(GroupNorm(groups=3, epsilon=1e-3), [Shape(6, 3, 3)], Shape(6, 3, 3))],
    "instance_norm": [Example(InstanceNorm(epsilon=1e-3), [Shape(6, 3, 3)], Shape(6, 3, 3))],
    "layer_norm": [Example(LayerNorm(epsilon=1e-5), [Shape(16)], Shape(16))],
    "layer_scale": [Example(LayerScale(initial=0.5), [Shape(3, 2, 2)], Shape(3, 2, 2))],
    "max_pool": [
        Example(MaxPool(5), [Shape(4, 6, 6)], Shape(4, 6, 6)),
        Example(MaxPool(2, stride=2, ceil=True), [Shape(2, 7, 5)], Shape(2, 4, 3)),
        Example(MaxPool(3, stride=2, padding=0, ceil=True), [Shape(2, 2, 8)], Shape(2, 1, 4)),
        Example(MaxPool((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), [Shape(3, 9, 9)], Shape(3, 5, 7)),
    ],
    "avg_pool": [
        Example(AvgPool(3), [Shape(4, 6, 6)], Shape(4, 6, 6)),
        Example(AvgPool(3, stride=2, ceil=True, count_padding=False), [Shape(2, 8, 7)], Shape(2, 5, 4)),
        Example(AvgPool((3, 2), stride=(2, 1), padding=0), [Shape(3, 9, 9)], Shape(3, 4, 8)),
    ],
    "global_avg_pool": [Example(GlobalAvgPool(keep_size=True), [Shape(8, 7, 5)], Shape(8, 1, 1))],
    "global_max_pool": [Example(GlobalMaxPool(keep_size=True), [Shape(8, 7, 5)], Shape(8, 1, 1))],
    "adaptive_avg_pool": [Example(AdaptiveAvgPool((2, 3)), [Shape(4, 5, 2)], Shape(4, 2, 3))],
    "adaptive_max_pool": [Example(AdaptiveMaxPool((2, 3)), [Shape(4, 5, 2)], Shape(4, 2, 3))],
    "dropout": [Example(Dropout(rate=0.0), [Shape(3, 4, 5)], Shape(3, 4, 5))],
    "stochastic_depth": [Example(StochasticDepth(rate=0.1, mode="batch"), [Shape(4, 5, 6)], Shape(4, 5, 6))],
    "space_to_depth": [
        Example(SpaceToDepth((1, 3), order="row_column_channel"), [Shape(2, 5, 7)], Shape(6, 5, 3)),
        Example(SpaceToDepth(3, order="channel_row_column", odd="error"), [Shape(2, 6, 9)], Shape(18, 2, 3)),
        Example(SpaceToDepth(1), [Shape(2, 3, 3)], Shape(2, 3, 3)),
    ],
    "depth_to_space": [
        Example(DepthToSpace((1, 3), order="row_column_channel"), [Shape(6, 5, 3)], Shape(2, 5, 9)),
        Example(DepthToSpace(3, order="channel_row_column"), [Shape(18, 2, 3)], Shape(2, 6, 9)),
    ],
    "upsample": [Example(Upsample((1, 3), mode="bilinear"), [Shape(4, 5, 3)], Shape(4, 5, 9))],
    "spd_conv2d": [
        Example(SpdConv2d(16, kernel=1, stride=2, bias=True), [Shape(8, 8, 7)], Shape(16, 4, 4)),
        Example(SpdConv2d(8, kernel=3, stride=2, groups=8), [Shape(8, 8, 8)], Shape(8, 4, 4)),
        Example(SpdConv2d(6, kernel=7, stride=4, dilation=2, spd_kernel="same"), [Shape(3, 17, 22)], Shape(6, 5, 6)),
        Example(SpdConv2d(6, kernel=3, stride=(2, 1), padding=0), [Shape(3, 9, 9)], Shape(6, 4, 7)),
        Example(SpdConv2d(6, kernel=2, stride=3, padding=((1, 0), (0, 2))), [Shape(3, 8, 8)], Shape(6, 3, 3)),
        Example(
            SpdConv2d(6, kernel=5, stride=2, spd_kernel=1, order="row_column_channel"), [Shape(3, 8, 8)], Shape(6, 4, 4)
        ),
        Example(SpdConv2d(6, kernel=3, dilation=2), [Shape(3, 8, 8)], Shape(6, 8, 8)),
    ],
    "spd_max_pool": [
        Example(SpdMaxPool(2, stride=2, ceil=True), [Shape(2, 7, 5)], Shape(2, 4, 3)),
        Example(SpdMaxPool((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), [Shape(3, 9, 9)], Shape(3, 5, 7)),
        Example(SpdMaxPool(5), [Shape(4, 6, 6)], Shape(4, 6, 6)),
    ],
    "spd_avg_pool": [
        Example(SpdAvgPool(3, stride=2, ceil=True, count_padding=False), [Shape(2, 8, 7)], Shape(2, 5, 4)),
        Example(SpdAvgPool((3, 2), stride=(2, 1), padding=0), [Shape(3, 9, 9)], Shape(3, 4, 8)),
        Example(SpdAvgPool(3), [Shape(4, 6, 6)], Shape(4, 6, 6)),
    ],
}
