"""The operations that the policies draw from, and the numbers that they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from spdbuild.data.augment import affine, colour
from spdbuild.data.augment.choosing import Change

#: Strengths of an operation: 0 to 30.
STRENGTHS = 31


@dataclass(frozen=True)
class Operation:
    """A change, and the number that it gets for each strength, with either sign."""

    change: Change
    numbers: tuple[Sequence[float], Sequence[float]]


@lru_cache
def wide_operations() -> tuple[Operation, ...]:
    """Those of TrivialAugmentWide."""
    return _operations(slope=0.99, right=32.0, down=32.0, degrees=135.0, factor=0.99, bits=6)


@lru_cache
def operations_for(height: int, width: int) -> tuple[Operation, ...]:
    """Those of RandAugment for images of this size."""
    # AutoAugment moves images of 331 pixels by up to 150.
    right, down = 150.0 / 331.0 * width, 150.0 / 331.0 * height
    return _operations(slope=0.3, right=right, down=down, degrees=30.0, factor=0.9, bits=4)


def _operations(
    slope: float, right: float, down: float, degrees: float, factor: float, bits: int
) -> tuple[Operation, ...]:
    """The operations of both policies in torchvision's order, with the largest numbers that they get.

    right, down: pixels.
    factor: distance from 1.
    bits: how many of the 8 are dropped.
    """
    from torchvision.transforms.v2.functional import autocontrast, equalize

    lost = (torch.arange(STRENGTHS) / ((STRENGTHS - 1) / bits)).round()
    return (
        _without_number(_same),
        _with_signs(affine.shear_x, _to(slope)),
        _with_signs(affine.shear_y, _to(slope)),
        _with_signs(affine.translate_x, _to(right).trunc()),
        _with_signs(affine.translate_y, _to(down).trunc()),
        _with_signs(affine.rotate, _to(degrees)),
        _with_signs(colour.brightness, _to(factor), middle=1.0),
        _with_signs(colour.saturation, _to(factor), middle=1.0),
        _with_signs(colour.contrast, _to(factor), middle=1.0),
        _with_signs(colour.sharpness, _to(factor), middle=1.0),
        _without_sign(colour.posterize, (8 - lost).tolist()),
        _without_sign(colour.solarize, [255 * part for part in torch.linspace(1, 0, STRENGTHS).tolist()]),
        _without_number(lambda images, _: autocontrast(images)),
        _without_number(lambda images, _: equalize(images)),
    )


def _to(largest: float) -> Tensor:
    # In float32, as in torchvision, so that the pixels are the same where the last bit decides.
    return torch.linspace(0, largest, STRENGTHS)


def _with_signs(change: Change, sizes: Tensor, middle: float = 0.0) -> Operation:
    plus, minus = ([middle + sign * size for size in sizes.tolist()] for sign in (1, -1))
    return Operation(change, (plus, minus))


def _without_sign(change: Change, numbers: Sequence[float]) -> Operation:
    return Operation(change, (numbers, numbers))


def _without_number(change: Change) -> Operation:
    return _without_sign(change, [0.0] * STRENGTHS)


def _same(images: Tensor, _: list[float]) -> Tensor:
    return images
