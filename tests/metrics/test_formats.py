"""The evaluator on data sets of every format: the labels, given as detections, are perfect."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spdbuild.data.detection.coco_json import read_coco, to_coco
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.detection.voc_xml import read_voc
from spdbuild.data.detection.yolo_txt import read_yolo
from spdbuild.metrics.coco import detection_rows
from spdbuild.metrics.detection import DetectionMetrics, EvaluationOptions, evaluate_detections

NAMES = ("bird", "cat")
# By image: class index, left, top, right, bottom in an image of 160 x 120 pixels.
OBJECTS = {"7": [(0, 10, 20, 30, 50), (1, 40, 40, 120, 110)], "12": [(1, 5, 5, 9, 9)]}


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in OBJECTS:
        Image.new("RGB", (160, 120)).save(folder / f"{name}.png")


def as_coco(folder: Path) -> DetectionSet:
    write_images(folder / "images")
    annotations = [
        {"image_id": int(name), "category_id": 3 + label, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for name, objects in OBJECTS.items()
        for label, x0, y0, x1, y1 in objects
    ]
    document = {
        "images": [{"id": int(name), "file_name": f"{name}.png", "width": 160, "height": 120} for name in OBJECTS],
        "categories": [{"id": 3 + label, "name": name} for label, name in enumerate(NAMES)],
        "annotations": [{"id": number, "iscrowd": 0, **entry} for number, entry in enumerate(annotations)],
    }
    (folder / "val.json").write_text(json.dumps(document))
    return read_coco(folder / "val.json", folder / "images")


def as_yolo(folder: Path) -> DetectionSet:
    write_images(folder / "images" / "val")
    labels = folder / "labels" / "val"
    labels.mkdir(parents=True)
    for name, objects in OBJECTS.items():
        rows = [
            f"{label} {(x0 + x1) / 320} {(y0 + y1) / 240} {(x1 - x0) / 160} {(y1 - y0) / 120}\n"
            for label, x0, y0, x1, y1 in objects
        ]
        (labels / f"{name}.txt").write_text("".join(rows))
    yaml = folder / "data.yaml"
    yaml.write_text(f"path: {folder}\nval: images/val\nnames: [bird, cat]\n")
    return read_yolo(yaml, "val")


def as_voc(folder: Path) -> DetectionSet:
    write_images(folder / "JPEGImages")
    (folder / "Annotations").mkdir()
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "val.txt").write_text("7\n12\n")
    for name, objects in OBJECTS.items():
        elements = "".join(
            f"<object><name>{NAMES[label]}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for label, x0, y0, x1, y1 in objects
        )
        size = "<size><width>160</width><height>120</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.png</filename>{size}{elements}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    return read_voc(folder, "val")


def evaluate_labels(dataset: DetectionSet) -> DetectionMetrics:
    """The metrics of the labels that count, given as detections."""
    rows = [np.zeros((0, 7))]
    for index, image in enumerate(dataset.images):
        own = dataset.of_image(index)
        counted = ~own.crowd & ~own.ignored
        columns = (own.boxes_xyxy[counted], np.full(counted.sum(), 0.9), own.classes[counted])
        detections = torch.from_numpy(np.column_stack(columns))
        rows.append(detection_rows(image.id, detections, dataset.category_ids))
    options = EvaluationOptions(max_detections=(1, 10, 1000))
    return evaluate_detections(to_coco(dataset), np.concatenate(rows), options)


@pytest.mark.parametrize("make", [as_coco, as_yolo, as_voc])
def test_perfect_detections_give_one_in_every_format(make: Callable[[Path], DetectionSet], tmp_path: Path) -> None:
    found = evaluate_labels(make(tmp_path))
    assert (found.ap, found.ap50, found.ap_by_size) == (1, 1, {"S": 1, "M": 1, "L": None})
    assert found.objects_by_size == {"S": 2, "M": 1, "L": 0}
    assert [kind.name for kind in found.classes] == list(NAMES)


def test_perfect_detections_give_one_on_real_annotations_with_crowds(data_folder: Path) -> None:
    folder = data_folder / "coco-mini"
    if not folder.is_dir():
        pytest.skip(f"no COCO images in {data_folder}")
    dataset = read_coco(folder / "annotations" / "instances_val2017.json", folder / "val2017")
    assert dataset.objects.crowd.any()
    found = evaluate_labels(dataset)
    assert found.ap == found.ar[1000] == 1
    assert set(found.ap_by_size.values()) == {1}
