"""The batches of a detection loader."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from spdbuild.data.letterbox import Letterbox


@dataclass(frozen=True, eq=False)
class DetectionBatch:
    """Images with the objects in them.

    images: uint8 [n, 3, H, W], RGB; dividing by 255 is left to the device.
    targets: float32 [B, 6], rows (position of the image in the batch, class, boxes_cxcywh in fractions of H and W).
    indices: int64 [n], positions of the images in the data set; for a mosaic, of its first image.
    letterboxes: where each image was placed, to map boxes back to it; empty for augmented batches.
    """

    images: Tensor
    targets: Tensor
    indices: Tensor
    letterboxes: tuple[Letterbox, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def pin_memory(self) -> DetectionBatch:
        return replace(self, images=self.images.pin_memory(), targets=self.targets.pin_memory())
