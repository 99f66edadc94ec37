"""What an augmentation is, their registry, and the conversions that several of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from spdbuild.data.draws import Draws
from spdbuild.declaring.registry import Registry
from spdbuild.errors import ArgumentError


@dataclass(frozen=True)
class Augmentation:
    """Base of all augmentations: frozen dataclasses that map a batch to a batch; every sample has its own draws.

    mixes: whether a sample takes something from the sample before it in the batch. Its labels are then float32 [N, K].
    random: whether its effect depends on the draws; `preprocess` takes only those that are not random.
    """

    name: ClassVar[str] = ""
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images uint8 (0..255) or float32 [N, 3, H, W] and labels [N] or [N, K] -> the same, changed."""
        raise NotImplementedError

    @classmethod
    def example(cls) -> Self:
        """An instance that changes images of 8x8 pixels and more."""
        return cls()


AUGMENTATIONS: Registry[Any] = Registry("augmentation", "spdbuild.data.augment", "spdbuild.augmentations")


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 0..1; float images stay as they are."""
    return images.to(torch.float32).div_(255) if images.dtype == torch.uint8 else images


def require_uint8(images: Tensor, name: str) -> None:
    if images.dtype != torch.uint8:
        raise ArgumentError(
            f"{name} works on pixels from 0 to 255 and got {str(images.dtype).removeprefix('torch.')}",
            hint=f"put {name} before normalize, mixup and cutmix",
        )


def per_sample(values: Tensor) -> Tensor:
    """[N] -> [N, 1, 1, 1], to broadcast over images."""
    return values.view(-1, 1, 1, 1)


def inside(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """Which pixels lie in each image's rectangle, bool [N, 1, height, width]; the edges are [N], ends excluded."""
    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])  # [N, height]
    in_columns = (columns >= left[:, None]) & (columns < right[:, None])  # [N, width]
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
