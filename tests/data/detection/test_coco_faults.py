"""What is wrong in COCO's JSON, and what it costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.dataset import usable
from spdbuild.data.detection.findings import refuse_grave
from spdbuild.errors import DataError

Document = dict[str, Any]
WriteCoco = Callable[[Document], tuple[Path, Path]]


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


def test_an_image_without_size_and_file_is_missing(document: Document, write_coco: WriteCoco) -> None:
    annotations, images = write_coco(document)
    del document["images"][1]["width"]
    annotations.write_text(json.dumps(document))
    (images / "a.png").unlink()
    assert str(read_coco(annotations, images).findings[0]) == f"{images / 'a.png'}: does not exist"


def test_an_unknown_category_to_ignore_gets_a_hint(document: Document, write_coco: WriteCoco) -> None:
    with pytest.raises(DataError, match="(?s)has no category 'persons' to ignore.*did you mean 'person'"):
        read_coco(*write_coco(document), ignore=["persons"])
