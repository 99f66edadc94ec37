"""One augmented training sample: from its image to the pixels and boxes that the network sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from spdbuild.data.detection.boxes import clipped
from spdbuild.data.detection.geometry import map_labels, random_matrix
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.pasting import paste_mirrored
from spdbuild.data.detection.raster import Raster
from spdbuild.data.detection.scene import Scene, letterboxed, mosaic, render
from spdbuild.data.detection.table import Pixels

#: Reads the image at a position: pixels at the training size, and its objects.
Read = Callable[[int], tuple[Pixels, Labels]]

#: Boxes end this many pixels inside the image, so that no centre falls on its border.
_MARGIN = 1e-3

#: Both parameters of the Beta distribution of mixup's ratio: close to a half.
_MIXUP_BETA = 32.0


class Augmenter:
    """Makes the sample of the image at a position: pixels uint8 [size, size, 3], and its objects in pixels.

    read: returns an image at the training size.
    pool: positions of the images that may join another in a mosaic, drawn with replacement.
    size: height and width of a sample in pixels.
    """

    def __init__(
        self, read: Read, pool: Sequence[int], options: DetectionAugmentation, size: int, raster: Raster
    ) -> None:
        self._read, self._pool, self._options, self._size, self._raster = read, pool, options, size, raster

    def sample(self, index: int, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        """The sample for the image at `index`; `rng` is the only source of randomness."""
        options, size = self._options, self._size
        if rng.random() < options.mosaic:
            image, labels = self._mosaic(index, rng)
            if rng.random() < options.mixup:
                other = self._mosaic(self._pool[int(rng.integers(len(self._pool)))], rng)
                image, labels = _mixed((image, labels), other, rng)
        else:
            image, labels = self._mapped(letterboxed(*self._read(index), size), rng)
        labels = labels.with_boxes(clipped(labels.boxes_xyxy, size - _MARGIN, size - _MARGIN))
        return _flipped(self._recoloured(image, rng), labels, options, rng)

    def _mosaic(self, index: int, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        centre = rng.uniform(self._size / 2, 3 * self._size / 2, 2).astype(int).tolist()
        members = [index, *(self._pool[i] for i in rng.integers(len(self._pool), size=3))]
        scene = mosaic([self._read(members[i]) for i in rng.permutation(4)], self._size, (centre[0], centre[1]))
        if self._options.copy_paste:
            scene = paste_mirrored(scene, self._options.copy_paste, rng)
        return self._mapped(scene, rng)

    def _mapped(self, scene: Scene, rng: np.random.Generator) -> tuple[Pixels, Labels]:
        matrix, scale = random_matrix(rng, self._options, scene.size, self._size)
        image, used = render(scene, matrix, self._size, self._raster)
        return image, map_labels(scene.labels, used, scale, scene.size, self._size)

    def _recoloured(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        strengths = np.array((self._options.hue, self._options.saturation, self._options.value))
        if not strengths.any():
            return image
        hue, saturation, value = (1 + rng.uniform(-1, 1, 3) * strengths).tolist()
        return self._raster.recoloured(image, hue, saturation, value)


def _mixed(
    first: tuple[Pixels, Labels], second: tuple[Pixels, Labels], rng: np.random.Generator
) -> tuple[Pixels, Labels]:
    ratio = np.float32(rng.beta(_MIXUP_BETA, _MIXUP_BETA))
    blend = first[0] * ratio
    blend += second[0] * (1 - ratio)
    return blend.astype(np.uint8), Labels.join((first[1], second[1]))


def _flipped(
    image: Pixels, labels: Labels, options: DetectionAugmentation, rng: np.random.Generator
) -> tuple[Pixels, Labels]:
    height, width = image.shape[:2]
    upside_down, mirrored = rng.random(2) < (options.flip_vertical, options.flip_horizontal)
    if upside_down:
        image, labels = image[::-1], labels.upturned(height)
    if mirrored:
        image, labels = image[:, ::-1], labels.mirrored(width)
    return image, labels
