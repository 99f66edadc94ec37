"""Crops and changes of size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation
from spdbuild.data.draws import Draws, sent
from spdbuild.declaring.ranges import require_growing, require_range
from spdbuild.errors import ArgumentError
from spdbuild.shape import Size, pair


@AUGMENTATIONS.register
@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """A window at a random position in the padded image.

    padding: pixels added on every side; fewer than the side of the window, or some windows would show no image.
    size: [height, width] of the window in pixels, or one number for both; None keeps the image's size.
    mode: zero pads with black, reflect with the image mirrored at its edge.
    """

    padding: int = 4
    size: Size | None = None
    mode: Literal["zero", "reflect"] = "zero"

    def __post_init__(self) -> None:
        require_range(self, "padding", least=0)
        require_range(self, "size", least=1)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        height, width = pair(self.size) if self.size else images.shape[-2:]
        if self.mode == "zero" and self.padding >= min(height, width):
            raise ArgumentError(
                f"random_crop with padding {self.padding} could cut {width}x{height} pixels of nothing but padding",
                argument="padding",
                hint=f"a padding of at most {min(height, width) - 1}",
            )
        padded = self._pad(images)
        free_rows, free_columns = padded.shape[-2] - height, padded.shape[-1] - width
        if min(free_rows, free_columns) < 0:
            raise ArgumentError(
                f"random_crop cannot cut {width}x{height} from {padded.shape[-1]}x{padded.shape[-2]} pixels",
                argument="size",
            )
        top, left = draws.integers(free_rows + 1), draws.integers(free_columns + 1)
        return windows(padded, top, left, height, width), labels

    def _pad(self, images: Tensor) -> Tensor:
        if self.mode == "zero":
            return F.pad(images, (self.padding,) * 4)
        if self.padding >= min(images.shape[-2:]):
            raise ArgumentError(
                f"random_crop cannot reflect {self.padding} pixels of {images.shape[-1]}x{images.shape[-2]}",
                argument="padding",
            )
        rows, columns = (sent(reflected(side, self.padding), images.device) for side in images.shape[-2:])
        return images.index_select(2, rows).index_select(3, columns)

    @classmethod
    def example(cls) -> RandomCrop:
        return cls(padding=2)


def windows(images: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """A window of each image, [N, C, H, W] -> [N, C, height, width]; top, left: its position, int64 [N]."""
    rows = top[:, None] + torch.arange(height, device=images.device)  # [N, height]
    columns = left[:, None] + torch.arange(width, device=images.device)  # [N, width]
    positions = rows[:, :, None] * images.shape[-1] + columns[:, None, :]
    positions = positions.flatten(1)[:, None].expand(-1, images.shape[1], -1)  # [N, C, height * width]
    return images.flatten(2).gather(2, positions).view(*images.shape[:2], height, width)


def reflected(side: int, padding: int) -> Tensor:
    """Positions of the pixels of a line that is mirrored at both ends; the edge itself is not repeated."""
    positions = torch.arange(-padding, side + padding).abs()
    return torch.minimum(positions, 2 * (side - 1) - positions)


@AUGMENTATIONS.register
@dataclass(frozen=True)
class CenterCrop(Augmentation):
    """The middle of the image.

    size: [height, width] of the result in pixels, or one number for both.
    """

    size: Size
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_range(self, "size", least=1)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        (height, width), (rows, columns) = pair(self.size), images.shape[-2:]
        if height > rows or width > columns:
            raise ArgumentError(
                f"center_crop cannot cut {width}x{height} from {columns}x{rows} pixels", argument="size"
            )
        from torchvision.transforms.v2.functional import center_crop

        return center_crop(images, [height, width]), labels

    @classmethod
    def example(cls) -> CenterCrop:
        return cls(size=6)


@AUGMENTATIONS.register
@dataclass(frozen=True)
class Resize(Augmentation):
    """The whole image at another size, bilinear with antialiasing.

    size: [height, width] of the result in pixels, or one number for both.
    """

    size: Size
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_range(self, "size", least=1)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        from torchvision.transforms.v2.functional import resize

        return resize(images, list(pair(self.size)), antialias=True), labels

    @classmethod
    def example(cls) -> Resize:
        return cls(size=10)


@AUGMENTATIONS.register
@dataclass(frozen=True)
class RandomResizedCrop(Augmentation):
    """A random part of the image at a fixed size, by torchvision's RandomResizedCrop, bilinear with antialiasing.

    size: [height, width] of the result in pixels, or one number for both.
    area: smallest and largest fraction of the image's area.
    ratio: smallest and largest width / height of the part, relative to that of the result; torchvision's are absolute.

    Source: Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv:1409.4842, section 6.
    """

    size: Size
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        require_range(self, "size", least=1)
        require_range(self, "area", above=0, most=1)
        require_range(self, "ratio", above=0)
        require_growing(self, "area", "ratio")

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        from torchvision.transforms.v2 import RandomResizedCrop as Crop

        height, width = pair(self.size)
        least, most = (ratio * (width / height) for ratio in self.ratio)
        return _each(images, Crop((height, width), self.area, (least, most)), draws), labels

    @classmethod
    def example(cls) -> RandomResizedCrop:
        return cls(size=8)


def _each(images: Tensor, transform: Callable[[Tensor], Tensor], draws: Draws) -> Tensor:
    """`transform` on one image after another, with torch's global generator seeded for each and restored at the end."""
    seeds = draws.on_cpu.integers(2**62).tolist()
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, seeds, strict=True):
            # torch.manual_seed would also seed the generators of GPUs, which nothing restores.
            torch.default_generator.manual_seed(seed)
            changed.append(transform(image))
    return torch.stack(changed) if changed else images
