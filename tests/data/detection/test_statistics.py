from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spdbuild.boxes.size_bins import SizeBin
from spdbuild.data.detection.coco_json import read_coco, to_coco
from spdbuild.data.detection.statistics import DetectionStatistics, draw_statistics, statistics
from spdbuild.data.detection.table import ImageRecord, Table
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.metrics.detection import evaluate_detections
from spdbuild.pictures import drawing


def test_objects_are_counted_by_class_and_size(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> None:
    document["annotations"].append({"id": 4, "image_id": 10, "category_id": 3, "bbox": [0, 0, 60, 40], "area": 1024})
    document["images"].append({"id": 30, "file_name": "c.png", "width": 8, "height": 8})
    counts = statistics(read_coco(*write_coco(document)))
    assert (counts.images, counts.background, counts.objects, counts.crowd, counts.ignored) == (3, 1, 3, 1, 0)
    assert counts.by_class == {
        # The object of 1024 square pixels is on the border.
        "person": {"S": 2, "M": 1, "L": 0},
        "car": {"S": 1, "M": 0, "L": 0},
    }
    assert counts.by_size == {"S": 3, "M": 1, "L": 0}
    assert counts.images_by_class == {"person": 1, "car": 1}
    assert (counts.sides[0], counts.sides[5], counts.sides[-1]) == (8, 20, 60)


def test_data_and_evaluation_count_the_same_sizes(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> None:
    areas = (1023.9, 1024, 1024.1, 9216)
    document["annotations"] = [
        {"id": number, "image_id": 10, "category_id": 3, "bbox": [0, 0, 9, 9], "area": area}
        for number, area in enumerate(areas, start=1)
    ]
    dataset = read_coco(*write_coco(document))
    judged = evaluate_detections(to_coco(dataset), np.zeros((0, 7)))
    assert statistics(dataset).by_size == judged.objects_by_size == {"S": 2, "M": 3, "L": 1}


def test_bins_can_be_ones_own() -> None:
    counts = statistics(TinyObjects.sample(), (SizeBin("tiny", 0, 9.5), SizeBin("rest", 9.5, 1e5)))
    assert set(counts.by_size) == {"tiny", "rest"}
    assert sum(counts.by_size.values()) == counts.objects


def test_hit_uav_is_mostly_small(data_folder: Path) -> None:
    root = data_folder / "hit-uav"
    counts = statistics(read_coco(root / "annotations" / "val.json", root / "images" / "val", ignore=["DontCare"]))
    assert 0.6 < counts.by_size["S"] / counts.objects < 0.8
    assert counts.by_size["L"] / counts.objects < 0.05


def test_an_object_on_the_border_of_two_sizes_is_one_object() -> None:
    table = Table(["car"], [1])
    table.images.append(ImageRecord(1, "a.png", None, 100, 100))
    table.add(0, (0.0, 0.0, 32.0, 32.0), 0)
    counts = statistics(table.build())
    assert (counts.objects, counts.objects_by_class) == (1, {"car": 1})
    assert counts.by_size == {"S": 1, "M": 1, "L": 0}


def test_the_plot_names_split_limits_and_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, dict[str, float]] = {}

    def draw_bars(title: str, values: dict[str, float]) -> Image.Image:
        drawn[title] = values
        return drawing.draw_bars(title, values)

    monkeypatch.setattr("spdbuild.data.detection.statistics.draw_bars", draw_bars)
    by_class = {f"class {number}": {"S": 1000 + number, "M": 20, "L": 3} for number in range(41)}
    objects = {name: sum(cells.values()) for name, cells in by_class.items()}
    draw_statistics(DetectionStatistics(5000, 0, 41_000, 0, 0, objects, by_class, {}, tuple(range(11))), "val")
    sizes, sides, classes = drawn.items()
    assert sizes[0] == "val: 41,000 objects in 5,000 images, by the root of their area"
    assert sizes[1] == {"S: 0 to 32 pixels": 41_820, "M: 32 to 96 pixels": 820, "L: from 96 pixels": 123}
    assert sides[0] == "val: longer side of the objects in pixels"
    assert list(sides[1].items())[::5] == [("the smallest", 0), ("50 % have at most", 5), ("the largest", 10)]
    assert classes[0] == "val: objects by class (the 40 most frequent of 41)"
    assert (list(classes[1])[0], len(classes[1])) == ("class 40", 40)


def test_classes_of_one_name_are_counted_apart(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> None:
    document["categories"].append({"id": 9, "name": "car"})
    document["annotations"].append({"id": 4, "image_id": 10, "category_id": 9, "bbox": [0, 0, 9, 9]})
    dataset = read_coco(*write_coco(document))
    counts = statistics(dataset)
    assert counts.objects_by_class == {"person": 1, "car (class 1)": 1, "car (class 2)": 1}
    assert [str(finding) for finding in dataset.findings] == ["class 2: is called 'car' as class 1 is"]
