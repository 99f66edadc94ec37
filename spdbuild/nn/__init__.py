"""Layers as torch modules, for the ops and for anybody's own network."""

from spdbuild.nn.convolution import PaddedConv2d
from spdbuild.nn.detection import Detect
from spdbuild.nn.merging import Add, Concat, Mul, Split
from spdbuild.nn.normalization import LayerNorm2d, LayerScale2d
from spdbuild.nn.pooling import GlobalAvgPool2d
from spdbuild.nn.resampling import DepthToSpace, SpaceToDepth
from spdbuild.nn.spd import SpdAvgPool2d, SpdConv2d, SpdMaxPool2d

__all__ = [
    "Add",
    "Concat",
    "DepthToSpace",
    "Detect",
    "GlobalAvgPool2d",
    "LayerNorm2d",
    "LayerScale2d",
    "Mul",
    "PaddedConv2d",
    "SpaceToDepth",
    "SpdAvgPool2d",
    "SpdConv2d",
    "SpdMaxPool2d",
    "Split",
]
