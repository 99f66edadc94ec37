"""Batches as a network gets them, with their boxes drawn: the quickest way to see whether the labels are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from PIL import Image

from spdbuild.boxes.boxes import cxcywh_to_xyxy, fractions_to_pixels
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.pictures.drawing import arrange, class_colour, draw_boxes


def gallery(loader: DetectionLoader, *, columns: int = 4, most: int = 16) -> Image.Image:
    """The first images of the loader's current epoch, at most `most`, in rows."""
    images = (image for batch in loader for image in drawn_images(batch, loader.dataset.names))
    return arrange(list(islice(images, most)), columns)


def drawn_images(batch: DetectionBatch, names: Sequence[str]) -> Iterator[Image.Image]:
    """Every image of a batch with its boxes and their class names."""
    height, width = batch.images.shape[2:]
    boxes = fractions_to_pixels(cxcywh_to_xyxy(batch.targets[:, 2:]), height, width)
    for position, image in enumerate(batch.images):
        own = batch.targets[:, 0] == position
        classes = [int(class_) for class_ in batch.targets[own, 1].tolist()]
        yield draw_boxes(
            Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()),
            boxes[own].tolist(),
            [names[class_] for class_ in classes],
            [class_colour(class_) for class_ in classes],
        )
