"""A detector learns 16 real images by heart: data, anchors, loss, assignment and evaluation must all agree for that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spdbuild.data.detection.coco_json import to_coco
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.coco import Coco
from spdbuild.training.running.run import train

RECIPE = """\
architecture: {architecture}
variant: n
input: [3, 160, 160]
data:
  name: coco
  root: {root}
  train_annotations: {annotations}
  val_images: train2017
  val_annotations: {annotations}
task:
  augment: {{mosaic: 0, scale: 0, translate: 0, hue: 0, saturation: 0, value: 0, flip_horizontal: 0}}
  evaluation: {{rectangular: false}}
  cache: ram
loss: {{name: detection, objectness_gain: 16}}   # the published gain is for 640 pixels
optimizer: {{name: adamw, lr: 0.003}}
schedule: {{name: cosine, warmup_epochs: 3}}
batch: 4
test_batch: 16
epochs: 100
evaluate_every: 100
precision: fp32
workers: 0
"""


def large_objects(root: Path) -> DetectionSet:
    """The 16 images whose smallest object is largest: at 160 pixels COCO's small objects have a pixel or two."""
    data = Coco(str(root)).open("train")

    def smallest(index: int) -> float:
        objects, image = data.of_image(index), data.images[index]
        sides = np.sqrt(objects.width * objects.height) / max(image.height, image.width)
        return float(sides.min(initial=1.0)) if len(objects) else 0.0

    return data.subset(sorted(sorted(range(len(data)), key=smallest, reverse=True)[:16]))


def one_class(data: DetectionSet) -> DetectionSet:
    """The same objects, all of one class."""
    objects = replace(data.objects, classes=np.zeros_like(data.objects.classes))
    return replace(data, names=("object",), category_ids=(1,), objects=objects)


def overfit(architecture: str, data: DetectionSet, root: Path, folder: Path) -> float:
    """AP50 on the images that were trained on."""
    annotations = folder / "annotations.json"
    annotations.write_text(json.dumps(to_coco(data)))
    recipe = RECIPE.format(architecture=architecture, root=root, annotations=annotations)
    return train_quietly(recipe, folder)["AP50"]


def train_quietly(recipe: str, folder: Path) -> dict[str, float]:
    path = folder / "overfit.yaml"
    path.write_text(recipe)
    return train(path, runs=folder / "runs", quiet=True).metrics


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["yolov5", "yolov5_spd"])
def test_yolov5n_and_its_spd_twin_overfit(architecture: str, data_folder: Path, tmp_path: Path) -> None:
    root = data_folder / "coco-mini"
    assert overfit(architecture, large_objects(root), root, tmp_path) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["yolov5", "yolov5_spd"])
def test_a_detector_of_one_class_overfits(architecture: str, data_folder: Path, tmp_path: Path) -> None:
    root = data_folder / "coco-mini"
    assert overfit(architecture, one_class(large_objects(root)), root, tmp_path) > 0.9
