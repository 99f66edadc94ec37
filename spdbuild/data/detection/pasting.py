"""Objects cut out along their outline and pasted again, mirrored, where they hide little.

Source: Ghiasi et al. 2021, "Simple Copy-Paste", arXiv:2012.07177; the mirroring is YOLOv5's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spdbuild.data.detection.boxes import Boxes, areas, shared_with
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.outlines import Polygon
from spdbuild.data.detection.scene import PlacedImage, Scene
from spdbuild.data.detection.table import Pixels

#: A pasted object may hide less than this share of any other's box.
MOST_HIDDEN = 0.30


def paste_mirrored(scene: Scene, share: float, rng: np.random.Generator) -> Scene:
    """The scene with round(share * n) of its n outlined objects repeated, left and right of the canvas exchanged."""
    outlined = np.flatnonzero(scene.labels.outlined)
    chosen = rng.permutation(outlined)[: round(share * len(outlined))]
    if not len(chosen):
        return scene
    before = scene.window(0, 0, scene.width, scene.height)
    after, labels = before.copy(), scene.labels
    candidates = labels.take(chosen).mirrored(scene.width)
    for row in range(len(candidates)):
        one = candidates.take(np.array([row]))
        if (_share_hidden(one.boxes_xyxy[0], labels.boxes_xyxy) < MOST_HIDDEN).all():
            _paste(before[:, ::-1], after, one.outline(0))
            labels = Labels.join((labels, one))
    return Scene(scene.height, scene.width, (PlacedImage(after, 0, 0),), labels)


def _share_hidden(box: NDArray[np.float64], others: Boxes) -> NDArray[np.float64]:
    return areas(shared_with(box, others)) / np.maximum(areas(others), 1e-16)


def _paste(source: Pixels, target: Pixels, polygons: tuple[Polygon, ...]) -> None:
    """Copy the pixels within `polygons` from `source` to the same place of `target`, in place."""
    height, width = target.shape[:2]
    points = np.concatenate(polygons)
    left, top = np.clip(np.floor(points.min(axis=0)), 0, (width, height)).astype(int).tolist()
    right, bottom = np.clip(np.ceil(points.max(axis=0)) + 1, 0, (width, height)).astype(int).tolist()
    mask = Image.new("1", (right - left, bottom - top))
    for polygon in polygons:
        # Pillow's pixel coordinates are those of the centres.
        ImageDraw.Draw(mask).polygon([(x - left - 0.5, y - top - 0.5) for x, y in polygon.tolist()], fill=1)
    inside = np.asarray(mask)
    target[top:bottom, left:right][inside] = source[top:bottom, left:right][inside]
