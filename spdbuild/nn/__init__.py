"""Layers as torch modules, for the ops and for any other network."""

from spdbuild.nn.convolution import PaddedConv2d
from spdbuild.nn.detection import Detect
from spdbuild.nn.merging import Add, Concat, Mul, Split
from spdbuild.nn.normalization import LayerNorm2d, LayerScale2d
from spdbuild.nn.pooling import GlobalAvgPool2d, GlobalMaxPool2d
from spdbuild.nn.resampling import DepthToSpace, SpaceToDepth
from spdbuild.nn.spd import SameSpdConv2d, SpdAvgPool2d, SpdConv2d, SpdMaxPool2d

__all__ = [
    "Add",
    "Concat",
    "DepthToSpace",
    "Detect",
    "GlobalAvgPool2d",
    "GlobalMaxPool2d",
    "LayerNorm2d",
    "LayerScale2d",
    "Mul",
    "PaddedConv2d",
    "SameSpdConv2d",
    "SpaceToDepth",
    "SpdAvgPool2d",
    "SpdConv2d",
    "SpdMaxPool2d",
    "Split",
]
