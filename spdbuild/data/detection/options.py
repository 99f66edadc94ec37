"""The augmentations of training images, and their strengths."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError

Backend = Literal["auto", "opencv", "torch"]


@dataclass(frozen=True)
class DetectionAugmentation:
    """The augmentation of a detector's training images; the defaults are those of YOLOv5 trained from scratch.

    mosaic: share of the samples made of four images around a random centre.
    mixup: share of the mosaics that are blended with a second one, roughly half and half.
    copy_paste: share of the outlined objects that are pasted again, mirrored; needs polygons.
    degrees: rotation, at most this many degrees either way.
    translate: shift, at most this share of the size either way.
    scale: size, between 1 - scale and 1 + scale of the original.
    shear: slant, at most this many degrees along each axis.
    perspective: at most this much per pixel; 0.001 is a lot.
    hue, saturation, value: it is multiplied by a factor between 1 - x and 1 + x.
    flip_vertical: share of the samples flipped upside down.
    flip_horizontal: share of the samples flipped left to right.
    multi_scale: size of a batch, a multiple of 32 between 1 - x and 1 + x times the given size.
    close_mosaic: epochs at the end without mosaic, mixup and copy_paste.
    partners: where the other images of a mosaic come from, anywhere or the same batch; with "batch" each image is
        decoded once instead of four times, and samples of a batch have images in common.
    backend: the library that scales, rotates and recolours; auto is OpenCV, an extra, if it is installed, else PyTorch.
        OpenCV is nearer to the published training. PyTorch averages pixels whenever it shrinks an image, OpenCV only
        below half the size, so the same seed gives images that differ by tens of grey levels at edges: at 0.55 of the
        size by 2.6 on average, by 22 or more in one pixel of a hundred.

    In the hyper-parameter files of YOLOv5: hue, saturation, value are hsv_h, hsv_s, hsv_v; flip_vertical and
    flip_horizontal are flipud and fliplr; the others have the same names and units.

    Source: the training protocol of YOLOv5 v6.0; mixup: Zhang et al. 2018, arXiv:1710.09412; copy-paste: Ghiasi et
    al. 2021, arXiv:2012.07177; mosaic: Bochkovskiy et al. 2020, arXiv:2004.10934.
    """

    mosaic: float = 1.0
    mixup: float = 0.0
    copy_paste: float = 0.0
    degrees: float = 0.0
    translate: float = 0.1
    scale: float = 0.5
    shear: float = 0.0
    perspective: float = 0.0
    hue: float = 0.015
    saturation: float = 0.7
    value: float = 0.4
    flip_vertical: float = 0.0
    flip_horizontal: float = 0.5
    multi_scale: float = 0.0
    close_mosaic: int = 0
    partners: Literal["any", "batch"] = "any"
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        shares = ("mosaic", "mixup", "copy_paste", "flip_vertical", "flip_horizontal")
        require_range(self, *shares, "hue", "saturation", "value", "translate", least=0, most=1)
        require_range(self, "scale", least=0, most=0.99)
        require_range(self, "multi_scale", least=0, most=0.9)
        require_range(self, "degrees", least=0, most=180)
        require_range(self, "shear", least=0, most=80)
        require_range(self, "perspective", least=0, most=0.001)
        require_range(self, "close_mosaic", least=0)
        for name in ("mixup", "copy_paste"):
            if getattr(self, name) and not self.mosaic:
                raise ArgumentError(f"{name} changes mosaics, and there are none", argument=name, hint=f"set {name}: 0")

    def at(self, epoch: int, epochs: int | None) -> DetectionAugmentation:
        """The augmentation of 0-based `epoch` out of `epochs`: the last ones have no mosaics."""
        if epochs is None or epoch < epochs - self.close_mosaic:
            return self
        return dataclasses.replace(self, mosaic=0.0, mixup=0.0, copy_paste=0.0)
