from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.statistics import draw_statistics, statistics
from spdbuild.data.tiny_objects import TinyObjects


def test_objects_are_counted_by_class_and_size(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> None:
    document["annotations"].append({"id": 4, "image_id": 10, "category_id": 3, "bbox": [0, 0, 60, 40], "area": 1024})
    document["images"].append({"id": 30, "file_name": "c.png", "width": 8, "height": 8})
    counts = statistics(read_coco(*write_coco(document)))
    assert (counts.images, counts.background, counts.objects, counts.crowd, counts.ignored) == (3, 1, 3, 1, 0)
    assert counts.by_class == {
        "person": {"small": 1, "medium": 1, "large": 0},
        "car": {"small": 1, "medium": 0, "large": 0},
    }
    assert counts.by_size == {"small": 2, "medium": 1, "large": 0}
    assert counts.images_by_class == {"person": 1, "car": 1}
    assert (counts.sides[0], counts.sides[5], counts.sides[-1]) == (8, 20, 60)


def test_bins_can_be_ones_own() -> None:
    counts = statistics(TinyObjects.sample(), bins=(("tiny", 10), ("rest", float("inf"))))
    assert set(counts.by_size) == {"tiny", "rest"}
    assert sum(counts.by_size.values()) == counts.objects


def test_hit_uav_is_mostly_small(data_folder: Path) -> None:
    root = data_folder / "hit-uav"
    counts = statistics(read_coco(root / "annotations" / "val.json", root / "images" / "val", ignore=["DontCare"]))
    assert 0.6 < counts.by_size["small"] / counts.objects < 0.8
    assert counts.by_size["large"] / counts.objects < 0.05


def test_the_plot_has_a_bar_for_every_number() -> None:
    image = draw_statistics(statistics(TinyObjects.sample()))
    assert image.size[0] > 600
    assert image.getcolors(1 << 20) is not None
