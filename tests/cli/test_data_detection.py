"""`spdbuild data` on data sets with boxes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild.cli.data import command
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.tiny_objects import TinyObjects
from spdbuild.errors import DataError, InputError
from spdbuild.training.recipe import load_recipe


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """A dataset YAML with eight generated images, converted by the command itself."""
    result = run(
        "convert", "tiny_objects", "images=8", "size=64", "largest=12", "--to", "yolo", "-o", tmp_path / "yolo"
    )
    assert result.exit_code == 0, result.output
    return tmp_path / "yolo" / "data.yaml"


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


def test_what_cannot_be_used_is_skipped_in_a_conversion_if_asked(yolo: Path, tmp_path: Path) -> None:
    labels = yolo.parent / "labels" / "train" / "train-000002.txt"
    labels.write_text(labels.read_text() + "9 0.5 0.5 0.1 0.1\n")
    result = run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco")
    assert "1 x unknown category" in str(result.exception)
    assert not (tmp_path / "coco").exists()
    result = run("convert", yolo, "on_error=skip", "--to", "coco", "-o", tmp_path / "coco")
    assert result.exit_code == 0
    skipped = "1 images or annotations skipped, which cannot be used; `spdbuild data check` names them"
    assert result.output.splitlines()[-1] == skipped
    assert run("check", tmp_path / "coco").exit_code == 0


def test_statistics_name_what_they_leave_out(data_folder: Path) -> None:
    root = data_folder / "hit-uav"
    if not root.is_dir():
        pytest.skip(f"no HIT-UAV in {data_folder}")
    result = run("stats", "hit_uav_yolov5n", f"data.root={root}")
    assert "train: 4,170 objects (28 ignored regions apart)" in result.output, result.output


def test_a_picture_is_a_png_and_an_epoch_one_of_the_recipe(yolo: Path, tmp_path: Path) -> None:
    for arguments in (("show", yolo, "-o"), ("stats", yolo, "--plot")):
        result = run(*arguments, tmp_path / "g.jpg")
        assert result.exit_code == 2
        assert f"'{tmp_path / 'g.jpg'}' does not end in .png; use {tmp_path / 'g.png'}" in " ".join(
            result.output.replace("│", " ").split()
        )
    result = run("show", "tiny_objects.yaml", "--epoch", 99, "-o", tmp_path / "g.png")
    assert "there is no epoch 99: the recipe has 12" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["yolo"]


def test_a_gallery_reads_only_its_split(yolo: Path, tmp_path: Path) -> None:
    yolo.write_text("train: images/nowhere\nval: images/val\nnames: [a, b, c, d, e, f]\n")
    assert run("show", yolo, "--split", "val", "-o", tmp_path / "val.png").exit_code == 0
    assert "nowhere' does not exist" in str(run("show", yolo, "-o", tmp_path / "train.png").exception)
    assert "data.yaml has no split 'test'" in str(
        run("show", yolo, "--split", "test", "-o", tmp_path / "t.png").exception
    )
    assert "there is no split 'tset'" in str(run("show", yolo, "--split", "tset", "-o", tmp_path / "t.png").exception)


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


def test_a_conversion_says_what_it_wrote(yolo: Path, tmp_path: Path) -> None:
    result = run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco", "--json")
    written = json.loads(result.output)
    assert (written["images"], written["left_out"]) == (12, 0)
    document = json.loads((tmp_path / "coco" / "annotations" / "val.json").read_text())
    assert len(document["images"]) == 2


@pytest.mark.parametrize("options", [(), ("--plain",), ("--split", "val")])
def test_a_gallery_is_a_picture(yolo: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / "gallery.png"
    result = run("show", yolo, "-o", file, "--size", 64, "--images", 2, "--columns", 2, *options)
    assert result.exit_code == 0, result.output
    with Image.open(file) as image:
        assert image.size == (2 * 68 + 4, 64 + 8)


RECIPE = """\
architecture: yolov5
variant: n
input: [3, 64, 64]
data: {name: tiny_objects, images: 12, size: 64}
task: {augment: {partners: batch, close_mosaic: 1}}
batch: 6
epochs: 2
seed: 3
workers: 0
"""


@pytest.mark.parametrize("epoch", [1, 2], ids=["with mosaics", "without"])
def test_a_gallery_of_a_recipe_has_the_images_that_it_trains_on(tmp_path: Path, epoch: int) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    override = "task.augment.flip_vertical=0.5"
    show = ("show", tmp_path / "recipe.yaml", override, "-o", tmp_path / "seen.png", "--images", 8, "--epoch", epoch)
    result = run(*show, "--columns", 1)
    assert result.exit_code == 0, result.output
    recipe = load_recipe(tmp_path / "recipe.yaml", [override])
    images = recipe.task.open(recipe, "train")
    batches = recipe.task.batches(recipe, images, training=True, rank=0, world=1, device=torch.device("cpu"))
    batches.set_epoch(epoch - 1)
    fed = torch.cat([batch for batch, _ in batches])[:8]
    with Image.open(tmp_path / "seen.png") as sheet:
        pixels = np.asarray(sheet)[4:, 4:68].reshape(8, 68, 64, 3)[:, :64]
    same = (pixels == (255 * fed).round().byte().permute(0, 2, 3, 1).numpy()).all(axis=3)
    # The rest is below frames and names.
    assert (same.mean(axis=(1, 2)) > 0.2).all()


def test_a_gallery_of_a_recipe_has_images_to_evaluate_on_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for name, options in {"val": (), "plain": ("--plain",)}.items():
        show = ("show", tmp_path / "recipe.yaml", "--split", "val", "-o", tmp_path / f"{name}.png", *options)
        assert run(*show).exit_code == 0
    assert (tmp_path / "val.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_name_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "there is no 'tiny_object'" in str(run("show", "tiny_object", "-o", tmp_path / "x.png").exception)


def test_data_sets_without_boxes_are_refused(tmp_path: Path) -> None:
    result = run("convert", "generated", "--to", "voc", "-o", tmp_path / "voc")
    assert "the data set 'generated' has no boxes" in str(result.exception)
    assert not (tmp_path / "voc").exists()


def test_a_name_of_a_data_set_and_a_recipe_is_told_apart() -> None:
    result = run("stats", "tiny_objects", "--json")
    assert result.stderr == (
        "tiny_objects is taken for the data set; the recipe's data are those of tiny_objects.yaml\n"
    )
    assert json.loads(result.stdout)["train"]["images"] == 256
    result = run("stats", "tiny_objects.yaml", "--json")
    assert (result.stderr, json.loads(result.stdout)["train"]["images"]) == ("", 512)
    assert run("stats", "tiny_objects", "images=4", "--json").stderr == ""


def test_masks_that_a_format_cannot_hold_are_counted(yolo: Path, tmp_path: Path) -> None:
    run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco")
    file = tmp_path / "coco" / "annotations" / "train.json"
    document = json.loads(file.read_text())
    for entry in document["annotations"][:3]:
        entry["segmentation"] = {"size": [64, 64], "counts": "T3l1`P1"}
    file.write_text(json.dumps(document))
    lost = "3 objects lost their mask of run lengths, which only COCO's files can hold"
    for format in ("coco", "yolo", "voc"):
        result = run("convert", tmp_path / "coco", "--to", format, "-o", tmp_path / f"to_{format}")
        assert (result.output.splitlines()[1:] == [lost]) is (format != "coco"), result.output
    result = run("convert", tmp_path / "coco", "--to", "voc", "-o", tmp_path / "json", "--json")
    assert json.loads(result.output)["masks_lost"] == 3


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


def test_windows_are_written_in_place_of_larger_images(tmp_path: Path) -> None:
    arguments = ("tiny_objects", "images=8", "size=64", "largest=12", "--to", "coco", "--tile", "32")
    result = run("convert", *arguments, "-o", tmp_path / "coco", "--overlap", "0", "--background", "0", "--json")
    assert result.exit_code == 0, result.output
    assert run("check", tmp_path / "coco").exit_code == 0
    names = {split: sorted((tmp_path / "coco" / "images" / split).iterdir()) for split in ("train", "val")}
    # Of the images to train on only windows with an object stay, of the others all four.
    assert len(names["train"]) < 4 * 8
    assert [path.name for path in names["val"]][:4] == [f"val-000000_{x}_{y}.png" for x in (0, 32) for y in (0, 32)]
    assert {image_size(path) for paths in names.values() for path in paths} == {(32, 32)}


def test_a_recipe_that_cuts_images_shows_windows(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "architecture: yolov5\nvariant: n\ninput: [3, 32, 32]\ndata: {name: tiny_objects, images: 4, size: 64}\n"
        "task: {tiles: {size: 32, overlap: 0}}\n"
    )
    result = run("show", recipe, "--split", "val", "-o", tmp_path / "a.png")
    assert result.exit_code == 0, result.output
    # The one image to evaluate on is four windows.
    assert result.stdout == f"4 images in {tmp_path / 'a.png'}\n"


@pytest.mark.parametrize(
    "option", [["--overlap", "0.2"], ["--whole"], ["--min-visible", "0.5"], ["--background", "1"]], ids=lambda o: o[0]
)
def test_what_is_said_of_windows_needs_windows(tmp_path: Path, option: list[str]) -> None:
    result = run("convert", "tiny_objects", "--to", "coco", "-o", tmp_path / "coco", *option)
    assert result.exit_code == 2
    assert f"Error: {option[0]} needs --tile\n" in result.output
    assert not (tmp_path / "coco").exists()


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
