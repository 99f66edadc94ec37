"""What a detector finds in pictures, beside what is annotated there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from spdbuild.data.detection.table import DetectionSet
from spdbuild.pictures.drawing import arrange, captioned, class_colour, draw_boxes
from spdbuild.training.detection.seeing import picture_of
from spdbuild.training.task import evenly

#: How many pictures a sheet of samples has, and the longest side of one in pixels.
_SAMPLES, _SIDE = 8, 480


#: The detections [D, 6] in a picture, uint8 [3, height, width], as `Seer.see` gives them.
See = Callable[[Tensor], Tensor]


def draw_samples(see: See, dataset: DetectionSet) -> Image.Image:
    """Pictures with objects, spread over the data set, each twice: with the annotated boxes and with those found."""
    with_objects = np.flatnonzero(np.bincount(dataset.image_index[dataset.trainable], minlength=len(dataset))).tolist()
    pairs = (_pair(see, dataset, with_objects[place]) for place in evenly(len(with_objects), _SAMPLES))
    return arrange([picture for pair in pairs for picture in pair], columns=4)


def _pair(see: See, dataset: DetectionSet, index: int) -> tuple[Image.Image, Image.Image]:
    picture = picture_of(dataset, index)
    objects = dataset.of_image(index)
    known = objects.classes >= 0
    classes, boxes = objects.classes[known].tolist(), objects.boxes_xyxy[known].tolist()
    found = see(picture).tolist()
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    names = dataset.names
    annotated = _drawn(image, boxes, [names[class_] for class_ in classes], classes)
    texts = [f"{names[int(class_)]} {score:.2f}" for *_, score, class_ in found]
    seen = _drawn(image, [box[:4] for box in found], texts, [int(box[5]) for box in found])
    name = dataset.images[index].name
    # The counts have lines of their own: of a line that is too long, its middle is left out.
    return captioned(annotated, name, f"{len(boxes)} annotated"), captioned(seen, "", f"{len(found)} found")


def _drawn(
    image: Image.Image, boxes_xyxy: Sequence[Sequence[float]], texts: Sequence[str], classes: Sequence[int]
) -> Image.Image:
    """Scaled before drawing, so that lines and words keep their thickness and size."""
    scale = _SIDE / max(image.size)
    scaled = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    places = [[coordinate * scale for coordinate in box] for box in boxes_xyxy]
    return draw_boxes(scaled, places, texts, [class_colour(class_) for class_ in classes])
