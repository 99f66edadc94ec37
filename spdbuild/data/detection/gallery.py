"""Batches as a network gets them, with their boxes drawn: the quickest way to see whether the labels are right."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from spdbuild.boxes import cxcywh_to_xyxy, fractions_to_pixels
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.drawing import arrange, class_colour, draw_boxes


def gallery(loader: DetectionLoader, batches: int = 1, *, columns: int = 4, most: int = 16) -> Image.Image:
    """The first images of the epoch that is set, at most `most` of each of the first batches, in rows."""
    images: list[Image.Image] = []
    for batch, _ in zip(loader, range(batches), strict=False):
        images += drawn_images(batch, loader.dataset.names)[:most]
    return arrange(images, columns)


def drawn_images(batch: DetectionBatch, names: Sequence[str]) -> list[Image.Image]:
    """Every image of a batch with its boxes and their class names."""
    height, width = batch.images.shape[2:]
    boxes = fractions_to_pixels(cxcywh_to_xyxy(batch.targets[:, 2:]), height, width)
    drawn = []
    for position, image in enumerate(batch.images):
        own = batch.targets[:, 0] == position
        classes = [int(class_) for class_ in batch.targets[own, 1].tolist()]
        drawn.append(
            draw_boxes(
                Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()),
                boxes[own].tolist(),
                [names[class_] for class_ in classes],
                [class_colour(class_) for class_ in classes],
            )
        )
    return drawn
