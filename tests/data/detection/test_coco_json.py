from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from spdbuild.data.detection.coco_json import read_coco, to_coco
from spdbuild.data.detection.dataset import usable
from spdbuild.data.detection.findings import refuse_grave
from spdbuild.errors import DataError

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


#: 60 pixels of a mask of 30x40, as COCO's files have it and as pycocotools writes it.
MASKS: dict[str, Any] = {
    "counts": {"counts": [100, 60, 1040], "size": [30, 40]},
    "text": {"size": [30, 40], "counts": "T3l1`P1"},
}


@pytest.mark.parametrize("form", MASKS)
def test_a_mask_of_run_lengths_is_no_outline_and_comes_back(
    document: Document, write_coco: WriteCoco, form: str
) -> None:
    document["annotations"][0]["segmentation"] = MASKS[form]
    dataset = read_coco(*write_coco(document))
    assert [len(polygons) for polygons in dataset.objects.outlines] == [0, 1, 0]
    assert dataset.objects.outlines[1][0].tolist() == [[30, 20], [38, 20], [34, 26]]
    written = {entry["id"]: entry["segmentation"] for entry in to_coco(dataset.subset([1, 0]))["annotations"]}
    assert written == {1: MASKS[form], 2: [], 3: [[30, 20, 38, 20, 34, 26]]}


@pytest.mark.parametrize(
    "form",
    [
        {"size": [30, 40]},
        {"counts": "0"},
        {"size": 30, "counts": "0"},
        {"size": [30], "counts": "0"},
        {"size": [0, 40], "counts": "0"},
        {"size": [30.5, 40], "counts": "0"},
        {"size": [True, 40], "counts": "0"},
        {"size": [30, float("inf")], "counts": "0"},
        {"size": [30, 40], "counts": None},
        {"size": [30, 40], "counts": 1200},
        {"size": [30, 40], "counts": ["a"]},
        {"size": [30, 40], "counts": [-1, 3]},
        {"size": [30, 40], "counts": [1.5, 2.5]},
        {"size": [30, 40], "counts": [float("nan")]},
        {"size": [30, 40], "counts": [10**400]},
        {"size": [30, 40], "counts": [[100, 60, 1040]]},
    ],
)
def test_a_mask_of_wrong_form_costs_the_mask_alone(document: Document, write_coco: WriteCoco, form: Any) -> None:
    document["annotations"][0]["segmentation"] = form
    dataset = read_coco(*write_coco(document))
    (finding,) = dataset.findings
    assert finding.kind == "malformed mask"
    assert "annotation at position 0: a mask needs its 'size' (height and width) and 'counts' (" in str(finding)
    refuse_grave(dataset.findings)
    assert dataset.of_image(1).boxes_xyxy.tolist() == [[1, 2, 11, 22]]
    assert dataset.trainable.tolist() == [False, True, True]
    written = {entry["id"]: entry["segmentation"] for entry in to_coco(dataset)["annotations"]}
    assert written == {1: [], 2: [], 3: [[30, 20, 38, 20, 34, 26]]}


@pytest.mark.parametrize(
    "form",
    [
        {"size": [30.0, 40], "counts": "T3l1`P1"},
        {"size": [30, 40], "counts": [100.0, 60, 1040]},
        {"size": [30, 40], "counts": [0, 1200]},
        {"size": [30, 40], "counts": [2**40]},
        {"size": [30, 40], "counts": []},
        {"size": [30, 40], "counts": ""},
    ],
)
def test_masks_do_not_matter_to_an_evaluation_of_boxes(document: Document, write_coco: WriteCoco, form: Any) -> None:
    document["annotations"][0]["segmentation"] = form
    dataset = read_coco(*write_coco(document))
    assert not dataset.findings
    truth = to_coco(dataset)
    assert [entry["segmentation"] for entry in truth["annotations"] if entry["id"] == 1] == [form]
    coco = COCO()
    coco.dataset = {"info": {}, **truth}
    coco.createIndex()
    job = COCOeval(coco, coco.loadRes(np.array([[20, 1, 2, 10, 20, 0.9, 7]])), "bbox")
    job.params.catIds = [7]
    job.evaluate()
    job.accumulate()
    assert (job.eval["precision"][:, :, 0, 0, -1] > 0.999).all()


def test_both_forms_are_the_same_mask_to_pycocotools() -> None:
    assert mask.frPyObjects(MASKS["counts"], 30, 40)["counts"].decode() == MASKS["text"]["counts"]
    assert mask.area({**MASKS["text"], "counts": MASKS["text"]["counts"].encode()}) == 60


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


def test_outlines_and_masks_can_be_left_out(document: Document, write_coco: WriteCoco) -> None:
    document["annotations"][0]["segmentation"] = MASKS["text"]
    dataset = read_coco(*write_coco(document))
    whole, bare = to_coco(dataset), to_coco(dataset, outlines=False)
    for entry in whole["annotations"]:
        del entry["segmentation"]
    assert bare == whole


def test_what_cannot_be_used_is_found_and_named(document: Document, write_coco: WriteCoco) -> None:
    document["images"].append({"id": 20, "file_name": "c.png", "width": 5, "height": 5})
    document["annotations"] += [
        {"id": 4, "image_id": 99, "category_id": 3, "bbox": [0, 0, 1, 1]},
        {"id": 5, "image_id": 10, "category_id": 4, "bbox": [0, 0, 1, 1]},
        {"id": 6, "image_id": 10, "category_id": 3, "bbox": [0, 0, 1]},
        {"id": 3, "image_id": 10, "category_id": 3, "bbox": [1, 1, 2, 2]},
    ]
    dataset = read_coco(*write_coco(document))
    kinds = [finding.kind for finding in dataset.findings]
    assert kinds == [
        "duplicate image id",
        "unknown image",
        "unknown category",
        "malformed row",
        "duplicate annotation id",
    ]
    assert str(dataset.findings[2]).endswith("annotations.json: annotation at position 4: there is no category 4")
    assert len(set(dataset.objects.ids.tolist())) == len(dataset.objects) == 4
    with pytest.raises(DataError, match="1 x duplicate image id, 1 x unknown image, 1 x unknown category, 1 x malf"):
        refuse_grave(dataset.findings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [', r"a\.json:1:13: error: this is not JSON: Expecting value"),
        ("[]", "a.json has no list 'images'"),
        (f'{{"images": {"9" * 5000}}}', "a.json is nested too deeply, or has too long a number"),
        ('{"images": [], "annotations": {}, "categories": []}', "a.json has no list 'annotations'"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "a category needs an 'id'"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "two categories have the id 1",
        ),
        ('{"images": [], "annotations": [], "categories": []}', "has no categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', "the data set has no images"),
        (
            '{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
            r"none of the 1 images of .*a\.json can be used; the first: .*a\.json: image at position 0: an image needs",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": "a1", "name": "a"}]}',
            "ids must be whole numbers below 2\\*\\*53, got 'id': \"a1\" of the category 'a'",
        ),
    ],
)
def test_files_that_are_no_annotations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError) as caught:
        read_coco(tmp_path / "a.json", tmp_path)
    assert re.search(message, str(caught.value))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("area", "big", "'area' must be a number of at least 0, got \"big\""),
        ("area", -1, "'area' must be a number of at least 0, got -1"),
        ("iscrowd", "no", "'iscrowd' must be 0 or 1, got \"no\""),
        ("iscrowd", [], "'iscrowd' must be 0 or 1, got []"),
        ("segmentation", [["a", 1, 2, 3, 4, 5]], "'segmentation' must be lists of numbers or a mask"),
        ("segmentation", [[1, 2, float("inf"), 4, 5, 6]], "'segmentation' must be lists of numbers or a mask"),
        ("segmentation", [1, 2, 3, 4, 5, [6]], "'segmentation' must be lists of numbers or a mask"),
        ("segmentation", "none", "'segmentation' must be lists of numbers or a mask"),
        ("bbox", [0, 0, float("nan"), 1], "needs a 'bbox' of 4 numbers"),
        ("bbox", [0, 0, 10**400, 1], "needs a 'bbox' of 4 numbers"),
        ("bbox", [0, 0, True, 1], "needs a 'bbox' of 4 numbers"),
        ("image_id", [1], "ids must be whole numbers below 2**53, got 'image_id': [1]"),
        ("image_id", "img_10", "ids must be whole numbers below 2**53, got 'image_id': \"img_10\""),
        ("bbox", [0, 0, "1,5", 1], "needs a 'bbox' of 4 numbers"),
        ("bbox", [0, 0, "NaN", 1], "needs a 'bbox' of 4 numbers"),
        ("image_id", None, "ids must be whole numbers below 2**53, got 'image_id': null"),
        ("category_id", "person", "ids must be whole numbers below 2**53, got 'category_id': \"person\""),
        ("image_id", 11, "there is no image 11 that can be used"),
    ],
)
def test_a_field_of_the_wrong_kind_is_found_and_named(
    document: Document, write_coco: WriteCoco, field: str, value: Any, message: str
) -> None:
    document["annotations"][1][field] = value
    (finding,) = read_coco(*write_coco(document)).findings
    assert message in str(finding)
    with pytest.raises(DataError):
        refuse_grave([finding])


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


def test_a_box_beside_its_image_keeps_from_training(document: Document, write_coco: WriteCoco) -> None:
    document["annotations"][0]["bbox"] = [40, 2, 10, 20]
    document["annotations"][2]["bbox"] = [60, 40, 10, 20]
    dataset = read_coco(*write_coco(document))
    assert len(dataset.objects) == 2
    (finding,) = dataset.findings
    assert (finding.kind, finding.detail) == (
        "box off image",
        "bbox [40, 2, 10, 20] lies beside its image of 40x30 pixels",
    )
    with pytest.raises(DataError, match="1 x box off image"):
        refuse_grave(dataset.findings)
    assert len(usable(dataset, "skip")) == 2


@pytest.mark.parametrize("number", [[3], "x3", "[" * 9999, None, 10**400, True])
def test_an_annotation_without_a_number_of_its_own_gets_one(
    document: Document, write_coco: WriteCoco, number: Any
) -> None:
    document["annotations"][1]["id"] = number
    dataset = read_coco(*write_coco(document))
    assert sorted(dataset.objects.ids.tolist()) == [1, 3, 4]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("height", -3, "'height' must be a whole number, 0 where it is not known, got -3"),
        ("width", True, "'width' must be a whole number, 0 where it is not known, got true"),
        ("width", 64.5, "'width' must be a whole number, 0 where it is not known, got 64.5"),
        ("height", "48 px", "'height' must be a whole number, 0 where it is not known, got \"48 px\""),
        ("id", 10**400, f"ids must be whole numbers below 2**53, got 'id': 1{'0' * 119}"),
        ("id", "img_10", "ids must be whole numbers below 2**53, got 'id': \"img_10\""),
        ("file_name", 3, "an image needs an 'id' and a 'file_name'; got {\"id\": 10, \"file_name\": 3"),
    ],
)
def test_an_image_that_cannot_be_costs_itself_and_its_objects_alone(
    document: Document, write_coco: WriteCoco, field: str, value: Any, message: str
) -> None:
    annotations, images = write_coco(document)
    document["images"][1][field] = value
    annotations.write_text(json.dumps(document))
    dataset = read_coco(annotations, images)
    assert [image.id for image in dataset.images] == [20]
    assert [finding.kind for finding in dataset.findings] == ["malformed image entry", *["unknown image"] * 2]
    assert f"{annotations}: image at position 1: {message}" in str(dataset.findings[0])
    assert str(dataset.findings[1]) == f"{annotations}: annotation at position 1: there is no image 10 that can be used"
    with pytest.raises(DataError, match="1 x malformed image entry"):
        usable(dataset, "refuse")
    assert len(usable(dataset, "skip")) == 1


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


def test_an_image_without_size_and_file_is_missing(document: Document, write_coco: WriteCoco) -> None:
    annotations, images = write_coco(document)
    del document["images"][1]["width"]
    annotations.write_text(json.dumps(document))
    (images / "a.png").unlink()
    assert str(read_coco(annotations, images).findings[0]) == f"{images / 'a.png'}: does not exist"


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


def test_an_unknown_category_to_ignore_gets_a_hint(document: Document, write_coco: WriteCoco) -> None:
    with pytest.raises(DataError, match="(?s)has no category 'persons' to ignore.*did you mean 'person'"):
        read_coco(*write_coco(document), ignore=["persons"])


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
