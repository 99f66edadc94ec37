from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.data.detection import voc_xml
from spdbuild.data.detection.dataset import usable
from spdbuild.data.detection.voc_xml import read_voc
from spdbuild.errors import DataError, MissingSplitError

OBJECT = (
    "<object><name>{name}</name><difficult>{difficult}</difficult>"
    "<bndbox><xmin>{x}</xmin><ymin>5</ymin><xmax>20</xmax><ymax>30</ymax></bndbox></object>"
)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    objects = OBJECT.format(name="dog", difficult=0, x=11) + OBJECT.format(name="cat", difficult=1, x=1)
    size = "<size><width>40</width><height>30</height><depth>3</depth></size>"
    (tmp_path / "Annotations" / "one.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    (tmp_path / "Annotations" / "two.xml").write_text("<annotation></annotation>")
    for name in ("one", "two"):
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("one\n")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text("two\none\n")
    return tmp_path


def test_pixels_are_counted_from_one_and_the_last_is_in_the_box(voc: Path) -> None:
    dataset = read_voc(voc, "train")
    assert dataset.names == ("cat", "dog")
    assert dataset.objects.boxes_xyxy.tolist() == [[10, 4, 20, 30], [0, 4, 20, 30]]
    assert dataset.objects.classes.tolist() == [1, 0]


@pytest.mark.parametrize(("names", "parsed"), [((), ["one", "two"]), (("cat", "dog"), ["one"])])
def test_a_file_is_parsed_once(
    voc: Path, names: tuple[str, ...], parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, parse = [], voc_xml.parse_annotation
    monkeypatch.setattr(voc_xml, "parse_annotation", lambda path: seen.append(path.stem) or parse(path))
    assert read_voc(voc, "train", names=names).names == ("cat", "dog")
    assert sorted(seen) == parsed


def test_difficult_objects_are_ignored_but_keep_their_class(voc: Path) -> None:
    dataset = read_voc(voc, "train")
    assert dataset.objects.ignored.tolist() == [False, True]
    assert dataset.trainable.tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "ignored"), [("1", True), ("TRUE", True), ("Yes", True), ("False", False), ("no", False), ("", False)]
)
def test_difficult_may_be_a_word(voc: Path, text: str, ignored: bool) -> None:
    file = voc / "Annotations" / "one.xml"
    file.write_text(file.read_text().replace("<difficult>1</difficult>", f"<difficult>{text}</difficult>"))
    assert read_voc(voc, "train").objects.ignored.tolist() == [False, ignored]


def test_another_word_for_difficult_is_a_finding(voc: Path) -> None:
    file = voc / "Annotations" / "one.xml"
    file.write_text(file.read_text().replace("<difficult>1</difficult>", "<difficult>maybe</difficult>"))
    dataset = read_voc(voc, "train")
    assert len(dataset.objects) == 1
    (finding,) = dataset.findings
    assert (finding.kind, str(finding)) == (
        "malformed row",
        f"{file}: object 2: 'difficult' must be 0 or 1, got 'maybe'",
    )


def test_boxes_without_area_and_repeated_ones_are_findings_and_not_evaluated(voc: Path) -> None:
    file = voc / "Annotations" / "one.xml"
    boxes = [("dog", 0, "11.0"), ("dog", 0, "21"), ("cat", 0, "26"), ("dog", 1, "11")]
    objects = "".join(OBJECT.format(name=name, difficult=difficult, x=x) for name, difficult, x in boxes)
    file.write_text(file.read_text().replace("</annotation>", f"{objects}</annotation>"))
    dataset = read_voc(voc, "train")
    # An object that is difficult too is another region.
    assert dataset.objects.counted.tolist() == [True, False, False]
    assert [str(finding) for finding in dataset.findings] == [
        f"{file}: object 3: dog at [10, 4, 20, 30] is there already, with the same class and box",
        f"{file}: object 4: dog at [20, 4, 20, 30] has no area",
        f"{file}: object 5: cat at [25, 4, 20, 30] has no area",
    ]


def test_a_size_that_is_not_written_comes_from_the_image(voc: Path) -> None:
    dataset = read_voc(voc, "val")
    assert [(image.name, image.width, image.height) for image in dataset.images] == [
        ("one.jpg", 40, 30),
        ("two.jpg", 40, 30),
    ]


@pytest.mark.parametrize("folder", [True, False], ids=["empty folder", "no folder"])
def test_without_lists_every_annotation_is_for_training_alone(voc: Path, folder: bool) -> None:
    for file in (voc / "ImageSets" / "Main").iterdir():
        file.unlink()
    if not folder:
        (voc / "ImageSets" / "Main").rmdir()
    assert len(read_voc(voc, "train")) == 2
    with pytest.raises(MissingSplitError) as caught:
        read_voc(voc, "val")
    assert str(caught.value).replace(str(voc), "pets") == (
        "error: pets has no split 'val': without lists in ImageSets/Main all images are in 'train'\n"
        "      = hint: write the names of its images into pets/ImageSets/Main/val.txt, and the others' into train.txt"
    )


def test_other_files_among_the_images_are_not_taken_for_them(voc: Path) -> None:
    folder = voc / "JPEGImages"
    for name in ("one.txt", "one.png", "._one.jpg"):
        (folder / name).write_text("no picture")
    (voc / "Annotations" / "._one.xml").write_text("no annotation")
    (folder / "two.jpg").rename(folder / "two.jfif")
    dataset = read_voc(voc, "val")
    assert [image.name for image in dataset.images] == ["one.jpg", "two.jfif"]
    assert dataset.names == ("cat", "dog")


def test_a_list_may_have_names_of_several_words_and_numbers_behind_them(voc: Path) -> None:
    for folder, suffix in (("Annotations", "xml"), ("JPEGImages", "jpg")):
        (voc / folder / f"two.{suffix}").rename(voc / folder / f"one two.{suffix}")
    (voc / "ImageSets" / "Main" / "train.txt").write_text("one  -1\none two\n")
    assert [image.name for image in read_voc(voc, "train").images] == ["one two.jpg", "one.jpg"]


def test_a_line_of_a_list_without_annotation_is_named_as_it_is_written(voc: Path) -> None:
    (voc / "ImageSets" / "Main" / "train.txt").write_text("one -1\nim 9\n")
    (finding,) = read_voc(voc, "train").findings
    assert str(finding).endswith("Annotations/im 9.xml: does not exist")


def test_hidden_files_beside_the_lists_are_none(voc: Path) -> None:
    lists = voc / "ImageSets" / "Main"
    for name in ("train", "val"):
        (lists / f"{name}.txt").rename(lists / f"._{name}.txt")
    (lists / "person_train.txt").write_text("one\n")
    with pytest.raises(MissingSplitError) as caught:
        read_voc(voc, "train")
    assert caught.value.problems[0].hint == "known: person_train"
    (lists / "person_train.txt").unlink()
    assert len(read_voc(voc, "train")) == 2


def test_given_names_have_their_order_and_others_are_findings(voc: Path) -> None:
    dataset = read_voc(voc, "train", names=["dog", "cow"])
    assert dataset.objects.classes.tolist() == [0]
    assert [finding.kind for finding in dataset.findings] == ["unknown category"]
    assert "one.xml: object 2: there is no class 'cat'; did you mean" in str(dataset.findings[0]) or "known" in str(
        dataset.findings[0]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "one.xml:1:13: this is not XML: no element found"),
        (
            '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>\n<annotation>&c;</annotation>',
            "one.xml:2: a document type (<!DOCTYPE>) is not allowed in annotations; remove it",
        ),
        (
            '<?xml version="1.0" encoding="gb2312"?><a/>',
            "one.xml: cannot be read: multi-byte encodings are not supported",
        ),
        ('<?xml version="1.0" encoding="none"?><a/>', "one.xml: cannot be read: unknown encoding: none"),
    ],
)
def test_texts_that_are_no_annotations_cost_their_image_alone(voc: Path, text: str, message: str) -> None:
    (voc / "Annotations" / "one.xml").write_text(text)
    dataset = read_voc(voc, "val")
    assert [image.name for image in dataset.images] == ["two.jpg"]
    (finding,) = dataset.findings
    assert str(finding) == str(voc / "Annotations" / message)
    with pytest.raises(DataError, match="1 x unreadable annotation file"):
        usable(dataset, "refuse")
    assert len(usable(dataset, "skip")) == 1


def test_a_split_without_any_annotation_that_can_be_used_says_why(voc: Path) -> None:
    for name in ("one", "two"):
        (voc / "Annotations" / f"{name}.xml").unlink()
    with pytest.raises(DataError) as caught:
        read_voc(voc, "val")
    missing = f"{voc / 'Annotations' / 'two.xml'}: does not exist"
    assert str(caught.value) == f"error: none of the 2 images of 'val' can be used; the first: {missing}"


def test_an_annotation_of_another_split_that_cannot_be_read_hinders_nobody(voc: Path) -> None:
    (voc / "Annotations" / "two.xml").write_text("no annotation")
    dataset = read_voc(voc, "train")
    assert (len(dataset), dataset.names, dataset.findings) == (1, ("cat", "dog"), ())


def test_a_document_type_in_utf16_is_refused_too(voc: Path) -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><annotation/>'
    (voc / "Annotations" / "one.xml").write_bytes(text.encode("utf-16"))
    (finding,) = read_voc(voc, "val").findings
    assert "one.xml:1: a document type (<!DOCTYPE>)" in str(finding)


def test_a_list_with_a_byte_order_mark_is_read_and_another_text_refused(voc: Path) -> None:
    listed = voc / "ImageSets" / "Main" / "train.txt"
    listed.write_bytes(b"\xef\xbb\xbfone\n")
    assert len(read_voc(voc, "train")) == 1
    listed.write_bytes(b"\xff\xfeo")
    with pytest.raises(DataError, match="train.txt cannot be read"):
        read_voc(voc, "train")


def test_numbers_too_large_for_evaluation_files_are_no_ids(voc: Path) -> None:
    for number, stem in enumerate(("one", "two")):
        for folder, suffix in (("Annotations", "xml"), ("JPEGImages", "jpg")):
            (voc / folder / f"{stem}.{suffix}").rename(voc / folder / f"20240101123045000{number}.{suffix}")
    (voc / "ImageSets" / "Main" / "val.txt").write_text("202401011230450000\n202401011230450001\n")
    assert [image.id for image in read_voc(voc, "val").images] == [1, 2]


@pytest.mark.parametrize("text", ["left", "nan", "-inf", ""])
def test_boxes_without_numbers_are_findings(voc: Path, text: str) -> None:
    file = voc / "Annotations" / "one.xml"
    file.write_text(file.read_text().replace("<xmin>11</xmin>", f"<xmin>{text}</xmin>"))
    assert [finding.kind for finding in read_voc(voc, "train").findings] == ["malformed row"]


def test_unknown_splits_and_folders_are_refused(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="(?s)has no split 'trian'.*did you mean 'train'"):
        read_voc(voc, "trian")
    with pytest.raises(DataError, match="has no folder 'Annotations'"):
        read_voc(tmp_path / "JPEGImages", "train")
