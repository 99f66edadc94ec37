"""Hue: colours rotated on the colour circle."""

from __future__ import annotations

import torch
from torch import Tensor

from spdbuild.data.augment.colour import every_bit
from spdbuild.data.draws import sent

#: What red, green and blue are in each sixth of the circle, and in the first again: the largest (l), the smallest (s),
#: falling from the largest to the smallest (f), or rising (r).
SIXTHS = ("lfssrll", "rllfssr", "ssrllfs")

#: The same for each of l, s, f and r, uint8 [4, 3, 1, 1]: bit i is set if that is what the channel is in sixth i.
BITS = torch.tensor(
    [[[[sum(1 << i for i, name in enumerate(names) if name == level)]] for names in SIXTHS] for level in "lsfr"],
    dtype=torch.uint8,
)


def hue(images: Tensor, turns: list[float]) -> Tensor:
    """Each image's colours rotated by a fraction of the circle, -0.5 to 0.5; uint8 [N, C, H, W], unchanged if C is 1.

    The pixels are those that torchvision's adjust_hue gives for each image alone, bit for bit.

    Source: Smith 1978, "Color Gamut Transform Pairs", the hexcone model; rounded as in torchvision 0.29.
    """
    if images.shape[1] == 1:
        return images
    largest, smallest = images.amax(1), images.amin(1)
    value = _part(largest)
    span = value - _part(smallest)
    turn = sent(torch.tensor(turns, dtype=torch.float32).view(-1, 1, 1), images.device)
    angle = _angle(images, largest, value, span).add_(turn)
    angle = angle.sub_(angle.floor()).mul_(6)
    sixth = angle.floor()
    # 0.001 is less than every divisor here except 0.
    saturation = span.div_(value.clamp(min=0.001))
    rest = 1 - saturation
    along = saturation.mul_(angle.sub_(sixth))
    falling, rising = _byte((1 - along).mul_(value)), _byte(along.add_(rest).mul_(value))
    return _arranged(sixth.to(torch.uint8), (largest, smallest, falling, rising))


def _angle(images: Tensor, largest: Tensor, value: Tensor, span: Tensor) -> Tensor:
    """Position on the circle, float32 [N, H, W] from 0 to 1; value, span: `largest` / 255, and less the smallest."""
    red, green, blue = images.unbind(1)
    is_red = every_bit(red == largest)
    is_green = every_bit(green == largest) & ~is_red
    is_blue = ~(is_red | is_green)
    before = (is_red & blue) | (is_green & red) | (is_blue & green)
    behind = (is_red & green) | (is_green & blue) | (is_blue & red)
    sixths = (is_green & 2) | (is_blue & 4)
    span = span.clamp(min=0.001)
    angle = (value - _part(before)).div_(span).add_(sixths).sub_((value - _part(behind)).div_(span))
    return angle.mul_(1 / 6).add_(1).frac_()


def _arranged(sixth: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
    """Red, green and blue, uint8 [N, 3, H, W], of the levels in the order of BITS; all uint8 [N, H, W]."""
    channels = sixth.new_zeros(len(sixth), 3, *sixth.shape[1:])
    for bits, level in zip(sent(BITS, sixth.device), levels, strict=True):
        channels |= (bits >> sixth[:, None]).bitwise_and_(1).neg_().bitwise_and_(level[:, None])
    return channels


def _part(values: Tensor) -> Tensor:
    """0..255 -> 0..1."""
    return values.to(torch.float32).mul_(1 / 255)


def _byte(values: Tensor) -> Tensor:
    """0..1 -> 0..255, by torchvision's rule, which makes all 256 equally likely."""
    return values.mul_(255.999).to(torch.int16).to(torch.uint8)
