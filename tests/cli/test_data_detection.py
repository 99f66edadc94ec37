"""`spdbuild data` on data sets with boxes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError, InputError

from .data_commands import run_raising as run


def test_a_dataset_yaml_is_checked(yolo: Path) -> None:
    result = run("check", yolo)
    assert result.exit_code == 0
    assert "train: nothing is wrong" in result.output


def test_a_field_may_be_a_list(yolo: Path) -> None:
    assert {"disc", "ring"} < set(json.loads(run("stats", yolo, "--json").stdout)["train"]["by_class"])
    for target in (yolo, yolo.parent):
        found = json.loads(run("stats", target, "ignore=[disc, ring]", "--json").stdout)["train"]
        assert set(found["by_class"]) == {"square", "frame", "cross", "stripes"}
    assert run("convert", yolo, "ignore=[disc]", "--to", "coco", "-o", yolo.parent / "coco").exit_code == 0


def test_images_of_two_splits_are_told(yolo: Path) -> None:
    shutil.copyfile(*(yolo.parent / "images" / name for name in ("train/train-000002.png", "val/copy.png")))
    result = run("check", yolo)
    assert result.exit_code == 0, result.output
    copy, image = (yolo.parent / "images" / name for name in ("val/copy.png", "train/train-000002.png"))
    assert f"val:     {copy}: is the same image as {image} of 'train'" in result.output.splitlines()


def test_a_test_split_that_is_not_there_is_none(yolo: Path) -> None:
    yolo.write_text(yolo.read_text().replace("images/test", "images/test-dev"))
    result = run("check", yolo)
    assert result.exit_code == 0
    assert [line.partition(":")[0] for line in result.output.splitlines() if "nothing is wrong" in line] == [
        "train",
        "val",
    ]


def test_a_test_split_that_cannot_be_read_is_told(yolo: Path, tmp_path: Path) -> None:
    run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco")
    (tmp_path / "coco" / "annotations" / "test.json").write_text("[]")
    for command_line in (("check",), ("stats",), ("convert", "--to", "voc", "-o", tmp_path / "voc")):
        result = run(command_line[0], tmp_path / "coco", *command_line[1:])
        assert isinstance(result.exception, DataError)
        assert "test.json has no list 'images'" in str(result.exception)
    assert not (tmp_path / "voc").exists()


def test_statistics_name_what_they_leave_out(data_folder: Path) -> None:
    root = data_folder / "hit-uav"
    if not root.is_dir():
        pytest.skip(f"no HIT-UAV in {data_folder}")
    result = run("stats", "hit_uav_yolov5n", f"data.root={root}")
    assert "train: 4,170 objects (28 ignored regions apart)" in result.output, result.output


def test_a_dataset_yaml_without_names_is_told_that_it_needs_them(yolo: Path) -> None:
    yaml = yolo.parent / "forgotten.yaml"
    yaml.write_text("train: images/train\nval: images/val\n")
    result = run("check", yaml)
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == (
        f"{yaml}:1:1: error: the dataset YAML has no 'names'\n"
        "    1 | train: images/train\n"
        "      | ^\n"
        "      = hint: names: [person, car]"
    )


def test_a_recipe_with_a_key_of_a_dataset_yaml_is_still_a_recipe(yolo: Path) -> None:
    yaml = yolo.parent / "recipe.yaml"
    yaml.write_text("architecture: yolov5\ndata: {name: tiny_objects}\ntrain: images/train\n")
    assert "a recipe has no key 'train'" in str(run("check", yaml).exception)


def test_a_bad_row_is_named_and_ends_with_1(yolo: Path) -> None:
    labels = yolo.parent / "labels" / "train" / "train-000002.txt"
    labels.write_text("9 0.5 0.5 0.1 0.1\n")
    result = run("check", yolo)
    assert result.exit_code == 1
    assert f"{labels}:1: class 9 is unknown: the numbers go from 0 to 5" in result.output


def test_images_to_test_on_are_looked_at_too(tmp_path: Path) -> None:
    assert run("convert", "tiny_objects", "images=8", "size=64", "--to", "yolo", "-o", tmp_path / "set").exit_code == 0
    image = next((tmp_path / "set" / "images" / "test").iterdir())
    image.write_bytes(b"")
    result = run("check", tmp_path / "set")
    assert result.exit_code == 1
    assert f"{image}: is empty (0 bytes)" in result.output


def test_counts_are_printed_and_drawn(yolo: Path, tmp_path: Path) -> None:
    result = run("stats", yolo, "--json", "--plot", tmp_path / "plot.png")
    counts = json.loads(result.output)
    assert counts["train"]["images"] == 8
    assert sum(sum(cells.values()) for cells in counts["train"]["by_class"].values()) == counts["train"]["objects"] > 0
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width > 1000


def test_a_name_of_a_data_set_and_a_recipe_is_told_apart() -> None:
    result = run("stats", "tiny_objects", "--json")
    assert result.stderr == (
        "tiny_objects is taken for the data set; the recipe's data are those of tiny_objects.yaml\n"
    )
    assert json.loads(result.stdout)["train"]["images"] == 256
    result = run("stats", "tiny_objects.yaml", "--json")
    assert (result.stderr, json.loads(result.stdout)["train"]["images"]) == ("", 512)
    assert run("stats", "tiny_objects", "images=4", "--json").stderr == ""


def test_voc_without_lists_has_nothing_to_evaluate_on(yolo: Path, tmp_path: Path) -> None:
    run("convert", yolo, "--to", "voc", "-o", tmp_path / "voc")
    shutil.rmtree(tmp_path / "voc" / "ImageSets")
    missing = f"{tmp_path / 'voc'} has no split 'val': without lists in ImageSets/Main all images are in 'train'"
    assert missing in str(run("show", tmp_path / "voc", "--split", "val").exception)
    result = run("check", tmp_path / "voc")
    assert (result.exit_code, result.output.splitlines()) == (
        0,
        ["train: 12 images, 37 objects", "train: nothing is wrong", f"val: there is none: {missing}"],
    )
    document = json.loads(run("check", tmp_path / "voc", "--json").output)
    assert document["sound"] is True
    assert document["splits"]["val"] == {"missing": missing}
    result = run("stats", tmp_path / "voc", "--plot", tmp_path / "plot.png")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert (lines[0], lines[-1]) == ("train: 37 objects, 3 images without any", f"val: there is none: {missing}")
    document = json.loads(run("stats", tmp_path / "voc", "--json").output)
    assert (document["train"]["images"], document["val"]) == (12, {"missing": missing})
    result = run("convert", tmp_path / "voc", "--to", "coco", "-o", tmp_path / "coco", "--json")
    assert json.loads(result.output)["images"] == 12
    assert [file.name for file in (tmp_path / "coco" / "annotations").iterdir()] == ["train.json"]


@pytest.mark.parametrize("command_line", [("check",), ("stats",)], ids=lambda line: line[0])
def test_a_split_to_evaluate_on_is_missed_where_there_are_splits(
    yolo: Path, tmp_path: Path, command_line: tuple[str, ...]
) -> None:
    for format in ("coco", "voc"):
        run("convert", yolo, "--to", format, "-o", tmp_path / format)
    yolo.write_text("train: images/train\nnames: [a, b, c, d, e, f]\n")
    (tmp_path / "coco" / "annotations" / "val.json").unlink()
    (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").unlink()
    for target, message in (
        (yolo, "data.yaml has no split 'val'"),
        (tmp_path / "coco", "instances_val2017.json does not exist"),
        (tmp_path / "voc", "voc has no split 'val'"),
    ):
        assert message in str(run(*command_line, target).exception)
    shutil.rmtree(tmp_path / "voc" / "ImageSets")
    assert "voc has no split 'trian'" in str(run(*command_line, tmp_path / "voc", "train=trian").exception)


def test_a_task_of_a_plugin_has_no_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TinyObjects, "task", "depth")
    for command_line in (("check", "tiny_objects"), ("stats", "tiny_objects", "images=4")):
        error = run(*command_line).exception
        assert isinstance(error, InputError)
        assert "there is no view of data sets for depth" in str(error)
    error = run("show", "tiny_objects", "-o", "sheet.png").exception
    assert isinstance(error, InputError)
    assert "there is no picture of data sets for depth" in str(error)


def test_what_reading_leaves_out_is_told_with_counts_and_pictures(yolo: Path, tmp_path: Path) -> None:
    label = next((yolo.parent / "labels" / "train").glob("*.txt"))
    label.write_text(label.read_text() + "0 60 50 30 20\n")
    told = "1 x malformed row; `spdbuild data check` names them"
    assert f"train: found in reading: {told}\n" in run("stats", yolo).stdout
    assert run("show", yolo, "-o", tmp_path / "a.png").stderr == f"found in reading: {told}\n"


def test_an_annotation_file_is_no_data_set(tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    file.write_text("{}")
    result = run("recipe", file)
    assert isinstance(result.exception, InputError)
    assert "is one file of annotations, and a data set is more" in str(result.exception)
    assert f"give the folder of the data set, or `coco root={tmp_path} train_annotations=instances.json" in str(
        result.exception
    )


@pytest.mark.parametrize(
    ("annotations", "images"),
    [("annotations/instances_default.json", "images/default"), ("labels.json", "data")],
    ids=["cvat", "fiftyone"],
)
def test_one_file_for_all_images_is_a_data_set_that_is_not_split(
    yolo: Path, tmp_path: Path, annotations: str, images: str
) -> None:
    assert run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco").exit_code == 0
    for name, given in ((annotations, "annotations/train.json"), (images, "images/train")):
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "coco" / given).rename(tmp_path / "all" / name)
    result = run("check", tmp_path / "all")
    assert result.exit_code == 0, result.output
    assert "train: nothing is wrong" in result.output
    assert "val: there is none: " in result.output


def test_labels_that_are_all_missing_are_an_error(yolo: Path) -> None:
    root = yolo.parent
    (root / "labels").rename(root / "label")
    image = next(iter(sorted((root / "images" / "train").iterdir())))
    told = f"labels of images/train/{image.name} are looked for in labels/train/{image.stem}.txt"
    result = run("check", root)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    found = lines.index("train: 1 x no label files")
    assert lines[found + 1] == f"train:     {root}: there is no folder {root / 'labels'}; {told}"
    assert str(run("recipe", root).exception) == (
        "error: the annotations cannot be used as they are: 1 x no label files; the first: "
        f"{root}: there is no folder {root / 'labels'}; {told}\n"
        "      = hint: move the label files there, or rename their folder"
    )
    (root / "label").rename(root / "labels")
    for file in (root / "labels" / "train").iterdir():
        file.write_text("")
    assert str(run("recipe", root).exception) == (
        "error: the training images have no object to learn: 8 images\n"
        "      = hint: no file is missing or faulty: the annotations hold no object that counts"
    )


def test_a_folder_whose_dataset_yaml_has_no_names_is_yolos(yolo: Path) -> None:
    yolo.write_text("train: images/train\nval: images/val\nnc: 6\n")
    for name in ("check", "recipe"):
        assert str(run(name, yolo.parent).exception) == (
            f"{yolo}:1:1: error: the dataset YAML has no 'names'\n"
            "    1 | train: images/train\n"
            "      | ^\n"
            "      = hint: names: [person, car]"
        )
