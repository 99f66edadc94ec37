"""The dataset YAML of YOLO, and what its paths mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spdbuild.data.detection.yolo_txt import read_yolo
from spdbuild.data.detection.yolo_yaml import read_dataset_yaml
from spdbuild.errors import DataError, MissingSplitError, SpdbuildError


@pytest.mark.parametrize(
    "names", ["names: [person, car]", "nc: 2\nnames: ['person', 'car']", "names: {0: person, 1: car}"]
)
@pytest.mark.parametrize("train", ["images/train", "[images/train]", "train.txt", "images/train/b.png"])
def test_the_usual_spellings_of_the_yaml_are_read(yolo: Path, names: str, train: str) -> None:
    (yolo.parent / "train.txt").write_text("./images/train/b.png\n\n")
    yaml = yolo.parent / "other.yaml"
    yaml.write_text(f"train: {train}\nval: images/val\n{names}\n")
    dataset = read_yolo(yaml, "train")
    assert dataset.names == ("person", "car")
    assert dataset.images[-1].name == "b.png"
    assert len(dataset.objects) == 2


@pytest.mark.parametrize("key", ["valid", "validation"])
def test_other_words_for_the_split_to_evaluate_on_are_known(yolo: Path, key: str) -> None:
    yolo.write_text(yolo.read_text().replace("val: images/val", f"{key}: images/val"))
    assert [image.name for image in read_yolo(yolo, "val").images] == ["c.png"]


def test_a_pattern_is_no_split(yolo: Path) -> None:
    yolo.write_text(yolo.read_text().replace("val: images/val", "val: images/val/*.png"))
    with pytest.raises(DataError, match=r"'images/val/\*\.png' is a pattern, and a split is a folder") as caught:
        read_yolo(yolo, "val")
    assert "name the folder: all images below it are taken" in str(caught.value)


@pytest.mark.parametrize(
    ("train", "hint"),
    [
        ("train", "did you mean images/train? "),
        ("./{root}/images/train", "did you mean images/train? "),
        ("elsewhere", ""),
    ],
)
def test_a_path_that_leads_nowhere_is_told_where_paths_start(
    yolo: Path, train: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(yolo.parent.name)
    monkeypatch.chdir(yolo.parent.parent)
    given = train.format(root=root)
    yolo.write_text(f"train: {given}\nval: images/val\nnames: [person, car]\n")
    with pytest.raises(MissingSplitError) as caught:
        read_yolo(root / "data.yaml", "train")
    (problem,) = caught.value.problems
    assert problem.message == f"'{root / given}' does not exist"
    assert problem.hint == f"{hint}paths start at the YAML's own folder, or at the folder under `path`: here at {root}"


def test_a_byte_order_mark_is_no_part_of_the_first_line(yolo: Path) -> None:
    for file in (yolo, yolo.parent / "labels" / "train" / "b.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    dataset = read_yolo(yolo, "train")
    assert len(dataset.objects) == 2
    assert [finding.kind for finding in dataset.findings] == ["missing label file"]


def test_paths_that_leave_the_folder_of_the_yaml_may_mean_it(yolo: Path) -> None:
    # As Roboflow writes them.
    yolo.write_text("train: ../images/train\nval: ../images/val\nnames: [person, car]\n")
    assert len(read_yolo(yolo, "train")) == 2


@pytest.mark.parametrize("from_list", [False, True], ids=["in the YAML", "in a list"])
def test_an_image_given_relatively_and_absolutely_is_one(
    yolo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_list: bool
) -> None:
    other = tmp_path / "other" / "images"
    other.mkdir(parents=True)
    (yolo.parent / "images" / "train" / "a.png").rename(other / "a.png")
    monkeypatch.chdir(yolo.parent)
    if from_list:
        lines = ("images/train/b.png", "./images/../images/train/b.png", yolo.parent / "images/train/b.png")
        Path("train.txt").write_text("".join(f"{line}\n" for line in (*lines, other / "a.png")))
        Path("data.yaml").write_text("path: .\ntrain: train.txt\nnames: [person, car]\n")
    else:
        folders = f"[images/train, {yolo.parent / 'images'}, {other}, images/../images/train]"
        Path("data.yaml").write_text(f"path: .\ntrain: {folders}\nnames: [person, car]\n")
    names = [image.name for image in read_yolo(Path("data.yaml"), "train").images]
    assert names == ["images/train/b.png", *([] if from_list else ["images/val/c.png"]), "other/images/a.png"]


def test_a_folder_above_a_link_stays_where_it_is(yolo: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "images").rename(tmp_path / "far" / "images")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    yolo.write_text("train: link/../images/train\nnames: [person, car]\n")
    assert len(read_yolo(yolo, "train")) == 2


def test_windows_separators_are_understood(yolo: Path) -> None:
    (yolo.parent / "val.txt").write_text(".\\images\\val\\c.png\n")
    yolo.write_text("path: .\\images\\..\ntrain: images\\train\nval: val.txt\nnames: [person, car]\n")
    assert [image.name for image in read_yolo(yolo, "train").images] == ["a.png", "b.png"]
    assert [image.name for image in read_yolo(yolo, "val").images] == ["c.png"]


def test_a_backslash_in_a_name_stays(yolo: Path) -> None:
    folder = yolo.parent / "images" / "train"
    (folder / "b.png").rename(folder / "b\\c.png")
    yolo.write_text("train: images/train/b\\c.png\nnames: [person, car]\n")
    assert [image.name for image in read_yolo(yolo, "train").images] == ["b\\c.png"]


def test_a_split_without_any_image_that_can_be_used_says_why(yolo: Path) -> None:
    (yolo.parent / "val.txt").write_text("images/val/y.png\nimages/val/z.png\n")
    yolo.write_text("val: val.txt\nnames: [person, car]\n")
    missing = yolo.parent / "images" / "val" / "y.png"
    with pytest.raises(SpdbuildError) as caught:
        read_yolo(yolo, "val")
    wanted = f"error: none of the 2 images of 'val' can be used; the first: {missing}: does not exist"
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("- 1", "train", "a dataset YAML is a mapping"),
        ("train: images/train", "train", "has no 'names'"),
        ("train: images/train\nnames: 3", "train", "'names' must be a list of names"),
        ("train: images/train\nnames: {1: a, 2: b}", "train", "the keys of 'names' must be 0 to 1, got 2"),
        ("train: images/train\nnc: 3\nnames: [a, b]", "train", "data.yaml:2:5: error: nc is 3, but there are 2 names"),
        ("train: images/trian\nnames: [a]", "train", r"data.yaml:1:8: error: .*trian' does not exist"),
        ("path: nowhere\ntrain: x\nnames: [a]", "train", "data.yaml:1:7: error: the folder 'nowhere' of the data set"),
        ("train: images/train\nnames: [a]", "val", "has no split 'val'"),
        ("train: labels\nnames: [a]", "train", "the split 'train' of .* has no images"),
        ("train: 3\nnames: [a]", "train", "a split is a folder, a text file of paths, or a list"),
    ],
)
def test_wrong_yamls_are_refused_with_their_place(yolo: Path, text: str, split: str, message: str) -> None:
    yolo.write_text(text)
    with pytest.raises(SpdbuildError) as caught:
        read_yolo(yolo, split)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_the_paths_of_a_yaml_start_from_its_path(yolo: Path) -> None:
    yaml = yolo.parent / "sub.yaml"
    yaml.write_text("path: images\ntrain: train\nval: val\nnames: [a]\n")
    assert read_dataset_yaml(yaml).paths("val") == (yolo.parent / "images" / "val",)
