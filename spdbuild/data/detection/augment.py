"""One augmented training sample, from the image it is about to the pixels and boxes that the network sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from spdbuild.data.detection.colour import scale_hsv
from spdbuild.data.detection.geometry import map_labels, random_matrix
from spdbuild.data.detection.labels import Labels, clipped
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.pasting import paste_mirrored
from spdbuild.data.detection.scene import Scene, letterboxed, mosaic, render
from spdbuild.data.detection.table import Pixels

#: Reads the image at a position: pixels at the training size, and its objects.
Read = Callable[[int], tuple[Pixels, Labels]]

#: Boxes end this many pixels before the image does, so that no centre falls on its border.
_MARGIN = 1e-3

#: Both parameters of the Beta distribution of mixup's ratio: close to a half.
_MIXUP_BETA = 32.0


def augment(
    index: int, read: Read, pool: Sequence[int], options: DetectionAugmentation, size: int, rng: np.random.Generator
) -> tuple[Tensor, Labels]:
    """The sample for the image at `index`: uint8 [3, size, size], and its objects in pixels.

    pool: positions of the images that may join it in a mosaic, drawn with replacement.
    rng: the only source of chance.
    """
    if rng.random() < options.mosaic:
        image, labels = _mosaic(index, read, pool, options, size, rng)
        if rng.random() < options.mixup:
            image, labels = _mixed((image, labels), _other(read, pool, options, size, rng), rng)
    else:
        image, labels = _mapped(letterboxed(*read(index), size), options, size, rng)
    labels = labels.with_boxes(clipped(labels.boxes_xyxy, size - _MARGIN, size - _MARGIN))
    return _flipped(_recoloured(image, options, rng), labels, options, rng)


def _mosaic(
    index: int, read: Read, pool: Sequence[int], options: DetectionAugmentation, size: int, rng: np.random.Generator
) -> tuple[Tensor, Labels]:
    centre = rng.uniform(size / 2, 3 * size / 2, 2).astype(int).tolist()
    members = [index, *(pool[i] for i in rng.integers(len(pool), size=3))]
    scene = mosaic([read(members[i]) for i in rng.permutation(4)], size, (centre[0], centre[1]))
    if options.copy_paste:
        scene = paste_mirrored(scene, options.copy_paste, rng)
    return _mapped(scene, options, size, rng)


def _other(
    read: Read, pool: Sequence[int], options: DetectionAugmentation, size: int, rng: np.random.Generator
) -> tuple[Tensor, Labels]:
    return _mosaic(pool[int(rng.integers(len(pool)))], read, pool, options, size, rng)


def _mapped(scene: Scene, options: DetectionAugmentation, size: int, rng: np.random.Generator) -> tuple[Tensor, Labels]:
    matrix, scale = random_matrix(rng, options, scene.size, size)
    image, used = render(scene, matrix, size)
    return image, map_labels(scene.labels, used, scale, scene.size, size)


def _mixed(
    first: tuple[Tensor, Labels], second: tuple[Tensor, Labels], rng: np.random.Generator
) -> tuple[Tensor, Labels]:
    ratio = rng.beta(_MIXUP_BETA, _MIXUP_BETA)
    blend = first[0].float().mul_(ratio).add_(second[0].float(), alpha=1 - ratio)
    return blend.to(torch.uint8), Labels.join((first[1], second[1]))


def _recoloured(image: Tensor, options: DetectionAugmentation, rng: np.random.Generator) -> Tensor:
    strengths = np.array((options.hue, options.saturation, options.value))
    if not strengths.any():
        return image
    hue, saturation, value = (1 + rng.uniform(-1, 1, 3) * strengths).tolist()
    return scale_hsv(image, hue, saturation, value)


def _flipped(
    image: Tensor, labels: Labels, options: DetectionAugmentation, rng: np.random.Generator
) -> tuple[Tensor, Labels]:
    height, width = image.shape[1:]
    upside_down, mirrored = rng.random(2) < (options.flip_vertical, options.flip_horizontal)
    if upside_down:
        image, labels = image.flip(1), labels.upturned(height)
    if mirrored:
        image, labels = image.flip(2), labels.mirrored(width)
    return image, labels
