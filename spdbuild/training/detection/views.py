"""A detector as it is used: its boxes in pixels, from one or several views of each image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.training.detection.head import head_of, maps_of
from spdbuild.training.views import FlipOptions


@dataclass(frozen=True)
class ViewOptions(FlipOptions):
    """Test-time augmentation: each flip of an image is looked at in each size, and NMS merges the boxes of all views.

    scales: factors of height and width, which are rounded to the network's coarsest stride; in 1 the image is as it
        would be without this section.
    """

    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        require_range(self, "scales", least=0.1, most=10)
        if not self.scales:
            raise ArgumentError("scales has no entry, so that no image is looked at", argument="scales", hint="[1]")
        if len({*self.scales}) < len(self.scales):
            message = f"scales has an entry twice: {', '.join(f'{scale:g}' for scale in self.scales)}"
            raise ArgumentError(message, argument="scales", hint="each view counts once, so name each scale once")

    @property
    def views(self) -> int:
        return len(self.flips) * len(self.scales)

    def _changes(self) -> list[str]:
        scales = [f"scales {', '.join(f'{scale:g}' for scale in self.scales)}"] if self.scales != (1,) else []
        return super()._changes() + scales


class Detector(nn.Module):
    """A network whose maps become boxes.

    Input: [N, C, H, W]. Output: [N, boxes, 5 + K] of all views: centre, width and height in pixels of the input, then
    objectness and class probabilities.
    """

    def __init__(self, network: nn.Module, options: ViewOptions) -> None:
        super().__init__()
        self.network, self.head, self.options = network, head_of(network), options

    def forward(self, images: Tensor) -> Tensor:
        found = []
        for scale, flipped in product(self.options.scales, self.options.flips):
            view = _scaled(images, scale, max(self.head.strides))
            boxes = self.head.decode(maps_of(self.network(view.flip(flipped) if flipped else view)))
            found.append(_restored(boxes, view.shape, flipped, images.shape))
        return torch.cat(found, dim=1) if len(found) > 1 else found[0]


def _scaled(images: Tensor, scale: float, stride: int) -> Tensor:
    """Images [N, C, H, W] of another size, in whole strides."""
    if scale == 1:
        return images
    size = [max(round(side * scale / stride), 1) * stride for side in images.shape[2:]]
    return interpolate(images, size, mode="bilinear", antialias=True)


def _restored(boxes: Tensor, view: torch.Size, flipped: tuple[int, ...], images: torch.Size) -> Tensor:
    """Boxes [N, B, 5 + K] in pixels of a view, in pixels of the images that it was made from."""
    if view == images and not flipped:
        return boxes
    # x belongs to the last dimension, and y to the one before.
    sides = torch.tensor([view[3], view[2]], dtype=boxes.dtype, device=boxes.device)
    turned = torch.tensor([3 in flipped, 2 in flipped], device=boxes.device)
    ratio = torch.tensor([images[3] / view[3], images[2] / view[2]], dtype=boxes.dtype, device=boxes.device)
    centres = torch.where(turned, sides - boxes[..., :2], boxes[..., :2])
    return torch.cat((centres * ratio, boxes[..., 2:4] * ratio, boxes[..., 4:]), dim=2)
