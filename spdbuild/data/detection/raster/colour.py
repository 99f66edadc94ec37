"""Hue, saturation and value of images multiplied by factors."""

from __future__ import annotations

import torch
from torch import Tensor

#: Pixels at a time: with fewer, calls cost more than arithmetic; with more, the intermediate planes leave the cache.
_PIXELS = 1 << 16


def scale_hsv(image: Tensor, hue: float, saturation: float, value: float) -> Tensor:
    """uint8 [3, H, W] -> uint8 [3, H, W], each of hue, saturation and value times its factor.

    Hue counts from red and wraps around; saturation and value are clipped at their maximum. Rounded once, at the end.
    """
    if _is_grey(image):
        return (image[0] * value).clamp_(max=255).add_(0.5).to(torch.int16).to(torch.uint8).repeat(3, 1, 1)
    scaled = torch.empty_like(image, memory_format=torch.contiguous_format)
    step = max(1, _PIXELS // image.shape[2])
    for top in range(0, image.shape[1], step):
        rows = slice(top, top + step)
        _scale_rows(image[:, rows], scaled[:, rows], hue, saturation, value)
    return scaled


def _is_grey(image: Tensor) -> bool:
    """Whether no pixel has a colour, as in thermal and many medical images: then only the value can change."""
    return torch.equal(image[0], image[1]) and torch.equal(image[1], image[2])


def _scale_rows(image: Tensor, target: Tensor, hue: float, saturation: float, value: float) -> None:
    """A channel is the brightest one minus the part of the colour (brightest minus darkest) that its hue takes.

    That part is 2 - d for red and d - 1 for green and blue, d the distance of the hue from cyan, green and blue,
    between 1 and 2.
    """
    red, green, blue = image
    low = torch.minimum(torch.minimum(red, green), blue)
    high = torch.maximum(torch.maximum(red, green), blue)
    spread = (high - low).float()
    angle = _hue(red, green, blue, low, spread, hue)
    if hue > 1:
        angle.sub_((angle * (1 / 6)).floor_().mul_(6))
    brightest = (high * value).clamp_(max=255)
    colour = _colour(spread, high, brightest, saturation, value)
    # + 0.5, so that the cast to whole numbers rounds; casts via int16 are vectorized, those to uint8 are not.
    above = torch.add(brightest, colour).add_(0.5)
    below = torch.sub(above, colour, alpha=3)
    target[0] = below.addcmul_(colour, (angle - 3).abs_().clamp_(1, 2)).to(torch.int16)
    target[1] = torch.addcmul(above, colour, (angle - 2).abs_().clamp_(1, 2), value=-1).to(torch.int16)
    target[2] = above.addcmul_(colour, angle.sub_(4).abs_().clamp_(1, 2), value=-1).to(torch.int16)


def _colour(spread: Tensor, high: Tensor, brightest: Tensor, saturation: float, value: float) -> Tensor:
    """The new difference of the brightest and the darkest channel; changes `spread`."""
    if value <= 1:
        return torch.minimum(spread.mul_(saturation * value), brightest)
    # The brightest has grown by less than `value` where it reached its maximum.
    growth = high.float().reciprocal_().mul_(255).clamp_(max=value)
    return torch.minimum(spread.mul_(growth).mul_(saturation), brightest)


def _hue(red: Tensor, green: Tensor, blue: Tensor, low: Tensor, spread: Tensor, factor: float) -> Tensor:
    """`factor` times the hue in sixths of a turn, which goes from red, 0, via green, 2, to blue, 4, and back to red, 6.

    With r = (red - low) / spread and d = (green - blue) / spread the usual three cases are one expression,
    3 - d + r (2 d - 3 sign(d)): choosing between three costs as much as all the rest.
    """
    per_spread = (spread + 1e-6).reciprocal_()
    r = (red - low).float().mul_(per_spread)
    # Equal green and blue need a sign, too.
    d = torch.addcmul(spread.new_tensor(1e-9), green.float() - blue, per_spread)
    slope = d.sign().mul_(-3 * factor).add_(d, alpha=2 * factor)
    return torch.rsub(d, 3 * factor, alpha=factor).addcmul_(r, slope)
