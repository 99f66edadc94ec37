"""Hue, saturation and value of images multiplied by factors."""

from __future__ import annotations

import torch
from torch import Tensor

#: Rows of an image at a time: the intermediate planes of that many stay in the processor's cache.
_ROWS = 128


def scale_hsv(image: Tensor, hue: float, saturation: float, value: float) -> Tensor:
    """uint8 [3, H, W] -> uint8 [3, H, W], each of hue, saturation and value times its factor.

    Hue counts from red and wraps around; saturation and value end at their maximum. Rounded once, at the end.
    """
    scaled = torch.empty_like(image, memory_format=torch.contiguous_format)
    for top in range(0, image.shape[1], _ROWS):
        rows = slice(top, top + _ROWS)
        _scale_rows(image[:, rows], scaled[:, rows], hue, saturation, value)
    return scaled


def _scale_rows(image: Tensor, target: Tensor, hue: float, saturation: float, value: float) -> None:
    red, green, blue = image
    low = torch.minimum(torch.minimum(red, green), blue)
    high = torch.maximum(torch.maximum(red, green), blue)
    spread, high = (high - low).float(), high.float()
    angle = _hue(red, green, blue, low, spread).mul_(hue)
    angle.sub_((angle * (1 / 6)).floor_().mul_(6))
    brightest = (high * value).clamp_(max=255)
    colour = spread.mul_(saturation).div_(high.add_(1e-6)).clamp_(max=1).mul_(brightest)
    # + 0.5, so that the cast to whole numbers rounds.
    darkest = brightest.sub_(colour).add_(0.5)
    target[0] = torch.addcmul(darkest, colour, (angle - 3).abs_().sub_(1).clamp_(0, 1))
    target[1] = torch.addcmul(darkest, colour, (angle - 2).abs_().neg_().add_(2).clamp_(0, 1))
    target[2] = torch.addcmul(darkest, colour, (angle - 4).abs_().neg_().add_(2).clamp_(0, 1))


def _hue(red: Tensor, green: Tensor, blue: Tensor, low: Tensor, spread: Tensor) -> Tensor:
    """In sixths of a turn from red over green (2) to blue (4), in [0, 6].

    With r = (red - low) / spread and d = (green - blue) / spread the usual three cases are one expression,
    3 - 3 r sign(d) + (2 r - 1) d: a choice between three costs as much as all the rest.
    """
    per_spread = (spread + 1e-6).reciprocal_()
    r = (red - low).float().mul_(per_spread)
    d = (green.float() - blue).mul_(per_spread)
    return torch.addcmul(3 - d, d, r, value=2).sub_(torch.copysign(r, d).mul_(3))
