from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spdbuild.data.detection.coco_json import read_coco, to_coco
from spdbuild.data.detection.dataset import usable

Document = dict[str, Any]
WriteCoco = Callable[[Document], tuple[Path, Path]]


def test_images_come_by_name_and_classes_by_category_id(document: Document, write_coco: WriteCoco) -> None:
    dataset = read_coco(*write_coco(document))
    assert [(image.id, image.name, image.width, image.height) for image in dataset.images] == [
        (10, "a.png", 64, 48),
        (20, "b.png", 40, 30),
    ]
    assert (dataset.names, dataset.category_ids) == (("person", "car"), (3, 7))
    assert dataset.of_image(0).boxes_xyxy.tolist() == [[5.5, 6.25, 12.5, 14.25], [30, 20, 38, 26]]
    assert dataset.of_image(0).crowd.tolist() == [True, False]
    assert dataset.of_image(0).ids.tolist() == [2, 3]
    assert dataset.of_image(1).classes.tolist() == [1]
    assert dataset.of_image(1).area.tolist() == [150]
    assert dataset.trainable.tolist() == [False, True, True]


def test_whole_numbers_of_tables_are_ids(document: Document, write_coco: WriteCoco) -> None:
    file, images = write_coco(document)
    plain = read_coco(file, images)
    for entry in (*document["images"], *document["categories"], *document["annotations"]):
        entry |= {key: float(value) for key, value in entry.items() if key == "id" or key.endswith("_id")}
    file.write_text(json.dumps(document))
    dataset = read_coco(file, images)
    assert dataset.findings == ()
    assert json.dumps(to_coco(dataset)) == json.dumps(to_coco(plain))
    document["annotations"][0]["image_id"] += 0.5
    file.write_text(json.dumps(document))
    (finding,) = read_coco(file, images).findings
    assert "ids must be whole numbers below 2**53, got 'image_id': 20.5" in str(finding)


def test_texts_that_are_numbers_are_numbers(document: Document, write_coco: WriteCoco) -> None:
    """Exports from tables have them."""
    file, images = write_coco(document)
    plain = read_coco(file, images)
    for entry in (*document["images"], *document["categories"], *document["annotations"]):
        numbers = {key: str(value) for key, value in entry.items() if isinstance(value, int | float)}
        entry |= numbers | ({"bbox": [str(edge) for edge in entry["bbox"]]} if "bbox" in entry else {})
    file.write_text(json.dumps(document))
    dataset = read_coco(file, images)
    assert dataset.findings == ()
    assert json.dumps(to_coco(dataset)) == json.dumps(to_coco(plain))


def test_a_name_may_be_a_number(document: Document, write_coco: WriteCoco) -> None:
    document["categories"][0]["name"] = 7
    assert read_coco(*write_coco(document)).names == ("person", "7")


def test_a_flat_list_is_one_polygon(document: Document, write_coco: WriteCoco) -> None:
    document["annotations"][2]["segmentation"] = [30, 20, 38, 20, 34, 26]
    dataset = read_coco(*write_coco(document))
    assert dataset.findings == ()
    assert [polygon.tolist() for polygon in dataset.of_image(0).outlines[1]] == [[[30, 20], [38, 20], [34, 26]]]


def test_an_ignored_category_is_no_class(document: Document, write_coco: WriteCoco) -> None:
    dataset = read_coco(*write_coco(document), ignore=["person"])
    assert dataset.names == ("car",)
    assert dataset.objects.ignored.tolist() == [True, True, False]
    assert dataset.trainable.tolist() == [False, False, True]


def test_a_region_of_no_class_is_written_for_every_class(document: Document, write_coco: WriteCoco) -> None:
    document["categories"].append({"id": 9, "name": "dog"})
    written = to_coco(read_coco(*write_coco(document), ignore=["person"]))
    regions = [entry for entry in written["annotations"] if entry["iscrowd"]]
    assert [entry["category_id"] for entry in regions] == [7, 9, 7, 9]
    assert len({entry["id"] for entry in written["annotations"]}) == 5


def test_it_is_written_as_it_was_read(document: Document, write_coco: WriteCoco) -> None:
    written = to_coco(read_coco(*write_coco(document)))
    wanted = {entry["id"]: entry for entry in document["annotations"]}
    for entry in written["annotations"]:
        assert entry == {"segmentation": [], **wanted[entry["id"]]}
    assert written["categories"] == [{"id": 3, "name": "person"}, {"id": 7, "name": "car"}]


@pytest.mark.parametrize(
    ("field", "value"), [("area", None), ("iscrowd", None), ("segmentation", None), ("segmentation", "")]
)
def test_an_empty_field_is_none(document: Document, write_coco: WriteCoco, field: str, value: Any) -> None:
    document["annotations"][2][field] = value
    dataset = read_coco(*write_coco(document))
    assert not dataset.findings
    objects = dataset.of_image(0)
    assert (objects.area[1], bool(objects.crowd[1])) == (48 if field == "area" else 24, False)
    assert len(objects.outlines[1]) == (field != "segmentation")


def test_boxes_stay_as_they_are_written_and_an_inverted_one_has_no_area(
    document: Document, write_coco: WriteCoco
) -> None:
    document["annotations"] = [
        {"id": 1, "image_id": 10, "category_id": 3, "bbox": [10, 10, -9, -9]},
        {"id": 2, "image_id": 10, "category_id": 3, "bbox": [10, 10, 9, 9]},
        {"id": 3, "image_id": 10, "category_id": 3, "bbox": [10, 10, 9, 9]},
    ]
    objects = read_coco(*write_coco(document)).objects
    assert objects.boxes_xyxy.tolist() == [[10, 10, 1, 1], [10, 10, 19, 19], [10, 10, 19, 19]]
    assert objects.area.tolist() == [0, 81, 81]


@pytest.mark.parametrize("number", [[3], "x3", "[" * 9999, None, 10**400, True])
def test_an_annotation_without_a_number_of_its_own_gets_one(
    document: Document, write_coco: WriteCoco, number: Any
) -> None:
    document["annotations"][1]["id"] = number
    dataset = read_coco(*write_coco(document))
    assert sorted(dataset.objects.ids.tolist()) == [1, 3, 4]


@pytest.mark.parametrize(
    "size",
    [
        {"width": 64.0, "height": 48.0},
        {"width": "64", "height": "48"},
        {"width": 64},
        {"width": None, "height": None},
        {"width": 0, "height": 0},
        {},
    ],
)
def test_a_size_may_be_written_with_a_point_or_come_from_the_file(
    document: Document, write_coco: WriteCoco, size: dict[str, Any]
) -> None:
    annotations, images = write_coco(document)
    document["images"][1] = {"id": 10, "file_name": "a.png", **size}
    annotations.write_text(json.dumps(document))
    dataset = read_coco(annotations, images)
    assert (dataset.images[0].width, dataset.images[0].height, dataset.findings) == (64, 48, ())
    assert isinstance(dataset.images[0].width, int)


def test_windows_separators_in_a_file_name_are_understood(document: Document, write_coco: WriteCoco) -> None:
    annotations, images = write_coco(document)
    (images / "sub").mkdir()
    (images / "a.png").rename(images / "sub" / "a.png")
    (images / "b.png").rename(images / "sub\\b.png")
    document["images"][0]["file_name"], document["images"][1]["file_name"] = "sub\\b.png", "sub\\a.png"
    annotations.write_text(json.dumps(document))
    dataset = usable(read_coco(annotations, images), "refuse")
    # A name that is there as it is written stays.
    assert [image.name for image in dataset.images] == ["sub/a.png", "sub\\b.png"]


def test_a_byte_order_mark_is_no_part_of_the_document(document: Document, write_coco: WriteCoco) -> None:
    annotations, images = write_coco(document)
    annotations.write_bytes(b"\xef\xbb\xbf" + annotations.read_bytes())
    assert len(read_coco(annotations, images)) == 2


def test_coco_mini_is_read_as_pycocotools_reads_it(data_folder: Path) -> None:
    root = data_folder / "coco-mini"
    file = root / "annotations" / "instances_train2017.json"
    entries = json.loads(file.read_text())["annotations"]
    dataset = read_coco(file, root / "train2017")
    assert len(dataset) == 60
    assert len(dataset.names) == 80
    assert dataset.objects.crowd.sum() == sum(entry["iscrowd"] for entry in entries)
    area = dict(zip(dataset.objects.ids.tolist(), dataset.objects.area.tolist(), strict=True))
    assert area == {entry["id"]: entry["area"] for entry in entries}
    assert not dataset.findings


def test_hit_uav_has_four_classes_and_regions_to_ignore(data_folder: Path) -> None:
    root = data_folder / "hit-uav"
    dataset = read_coco(root / "annotations" / "val.json", root / "images" / "val", ignore=["DontCare"])
    assert len(dataset) == 290
    assert dataset.names == ("Person", "Car", "Bicycle", "OtherVehicle")
    entries = json.loads((root / "annotations" / "val.json").read_text())["annotations"]
    assert dataset.objects.ignored.sum() == sum(entry["category_id"] == 5 for entry in entries)
    assert np.isin(dataset.objects.classes[~dataset.objects.ignored], range(4)).all()


def test_an_id_that_pycocotools_takes_for_none_is_replaced(document: Document, write_coco: WriteCoco) -> None:
    document["annotations"][0]["id"] = 0
    dataset = read_coco(*write_coco(document))
    assert sorted(dataset.objects.ids.tolist()) == [2, 3, 4]
    assert not dataset.findings


def test_a_box_is_written_with_the_numbers_that_were_read(document: Document, write_coco: WriteCoco) -> None:
    box = document["annotations"][0]["bbox"] = [0.1, 0.2, 0.3, 0.7]
    assert 0.1 + 0.3 - 0.1 != 0.3
    written = {entry["id"]: entry["bbox"] for entry in to_coco(read_coco(*write_coco(document)))["annotations"]}
    assert written[1] == box
