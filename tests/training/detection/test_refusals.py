"""What a person can get wrong with a detector, and what is said."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from spdbuild.data.detection.convert import convert
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError, RecipeError, SpdbuildError
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.checking import check_recipe
from spdbuild.training.running.run import train
from spdbuild.training.trained.evaluate import evaluate

CLASSIFIER = """\
model: classifier
inputs: {image: [3, 64, 64]}
layers:
  - stem: conv2d(8, 3, stride=4)
  - global_avg_pool()
  - head: linear(6)
"""


REFUSALS = {
    "a list of augmentations": (
        ["augment=[{name: horizontal_flip}]"],
        "command line:1:9: error: 'augment' is not for detection",
        "task.augment",
    ),
    "an oblong input": (
        ["input=[3, 64, 96]"],
        "command line:1:7: error: a detector is trained on squares whose side is a multiple of 32, and its input is 96",
        "[3, 96",
    ),
    "an odd input": (["input=[3, 100, 100]"], "multiple of 32, and its input is 100x100", "input: [3, 96, 96]"),
    "classes": (["vars.classes=5"], "the head has 5 classes and the data has 6", "leave vars.classes out"),
    "a teacher": (
        ["distill={architecture: yolov5, variant: n, weights: w}"],
        "'distill' is not for detection",
        "leave it out: a teacher is followed by its class scores, and a detector's maps hold more",
    ),
    "a loss of another task": (["loss={name: cross_entropy}"], "loss: 'cross_entropy' is for classification", ""),
    "data of another task": (
        ["data={name: digits}", "task.name=detection"],
        "data: 'digits' is for classification",
        "",
    ),
    "an unknown option": (["task.augment.mosaik=1"], "'task.augment' has no key 'mosaik'", "did you mean 'mosaic'?"),
    "an option of another task": (["task.top5=1"], "'task' has no key 'top5'", ""),
    "a share above 1": (["task.augment.mosaic=2"], "mosaic must be between 0 and 1, got 2", ""),
    "sizes that shrink": (["task.evaluation.sizes={S: [32, 0]}"], "the size S must grow from at least 0, got 32", ""),
    "a metric that is none": (["task.monitor=mAP"], "there is no metric 'mAP'", "did you mean 'AP'?"),
    "a size that no object has": (
        ["task.monitor=AP_huge", "task.evaluation.sizes.huge=[5000, 9000]"],
        "no object to evaluate on is of the size huge, and AP_huge says the best epoch",
        "task.monitor=AP, or sizes that objects have",
    ),
    "an unknown class to show": (
        ["task.seeing.classes=[disk]"],
        "command line:1:21: error: the network has no class 'disk'",
        "did you mean 'disc'?",
    ),
    "windows of nothing": (["task.seeing.tile=0"], "tile must be at least 32, got 0", ""),
    "no detections": (["task.evaluation.max_detections=0"], "max_detections must be at least 1, got 0", ""),
    "boxes without end": (["task.evaluation.nms.max_detections=-1"], "max_detections must be at least 1, got -1", ""),
    "more detections than nms keeps": (
        ["task.evaluation.max_detections=400"],
        "command line:1:32: error: 400 detections of an image cannot count if nms keeps 300",
        "raise nms.max_detections",
    ),
    "a batch larger than the data": (["batch=100", "drop_last=true"], "a batch of 100 is larger than the data set", ""),
}


@pytest.mark.parametrize(("overrides", "message", "hint"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_is_wrong_is_said(recipe: Path, tmp_path: Path, overrides: list[str], message: str, hint: str) -> None:
    with pytest.raises(SpdbuildError) as caught:
        train(recipe, overrides, runs=tmp_path / "runs", quiet=True)
    assert caught.value.exit_code == 2
    assert message in str(caught.value)
    assert hint in str(caught.value)


def test_a_library_that_is_not_installed_is_said_where_it_is_named(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpdbuildError) as caught:
        train(recipe, ["task.augment.backend=opencv"], runs=tmp_path / "runs", quiet=True)
    assert "command line:1:22: error: the augmentation backend opencv is not installed" in str(caught.value)
    assert 'pip install "spdbuild[opencv]"' in str(caught.value)


def test_objects_to_paste_need_outlines(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(SpdbuildError) as caught:
        train(recipe, ["task.augment.mosaic=1", "task.augment.copy_paste=0.5"], runs=tmp_path / "runs", quiet=True)
    assert str(caught.value) == (
        "command line:1:25: error: copy_paste=0.5 pastes objects along their outlines, and the images have boxes only\n"
        "    1 | task.augment.copy_paste=0.5\n      |                         ^\n      = hint: set copy_paste to 0"
    )
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_network_without_a_head_is_refused(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "classifier.yaml").write_text(CLASSIFIER)
    with pytest.raises(SpdbuildError, match="has one detection head, and this network has none"):
        train(recipe, [f"architecture={tmp_path / 'classifier.yaml'}"], runs=tmp_path / "runs", quiet=True)


def test_what_is_left_out_of_the_data_is_said(recipe: Path, tmp_path: Path) -> None:
    options = {"images": 8, "size": 64, "largest": 12}
    convert({split: TinyObjects(**options).read(split) for split in ("train", "val")}, "yolo", tmp_path / "yolo")
    labels = tmp_path / "yolo" / "labels"
    (labels / "train" / "train-000001.txt").write_text("9 0.5 0.5 0.1 0.1\n")
    (tmp_path / "yolo" / "images" / "train" / "train-000002.png").write_bytes(b"no picture")
    (labels / "val" / "val-000001.txt").unlink()
    data = f"data={{name: yolo, file: {tmp_path / 'yolo' / 'data.yaml'}, on_error: skip}}"
    done = train(recipe, [data, "epochs=1"], runs=tmp_path / "runs", quiet=True)
    assert (done.folder / "log.txt").read_text().splitlines()[:2] == [
        "of the data to train on: 1 x unknown category, 1 x corrupt image; `spdbuild data check` names them",
        "of the data to evaluate on: 1 x missing label file; `spdbuild data check` names them",
    ]


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_batch(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPDBUILD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="cache cannot be written: Not a directory") as caught:
        train(recipe, ["task.cache=disk"], runs=tmp_path / "runs", quiet=True)
    assert str(caught.value).startswith("command line:1:12: error: ")


def test_data_without_objects_is_refused(recipe: Path, tmp_path: Path) -> None:
    # The one image that evaluation has is empty with this seed.
    with pytest.raises(SpdbuildError, match="the split 'val' has no object of any class in 1 images"):
        train(recipe, ["data.images=4", "data.objects=1", "data.seed=1"], runs=tmp_path / "runs", quiet=True)


def test_a_split_that_is_none_is_refused(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path / "runs", quiet=True)
    with pytest.raises(SpdbuildError, match="the data set 'tiny_objects' has no split 'valid'"):
        evaluate(done.folder, split="valid")


def test_the_task_is_that_of_the_data_and_can_be_a_name_alone(recipe: Path) -> None:
    text = recipe.read_text()
    assert load_recipe(text).task.name == "detection"
    start, rest = text.split("task:\n")
    named = start + "task: detection\n" + rest.split("\n", 2)[2]
    assert load_recipe(named).task == load_recipe(start + rest.split("\n", 2)[2]).task


def test_an_input_on_which_the_levels_of_a_network_do_not_meet_is_told_as_such() -> None:
    with pytest.raises(RecipeError, match="squares whose side is a multiple of 32, and its input is 100x100") as caught:
        check_recipe("tiny_objects", ["input=[3, 100, 100]"])
    assert "input: [3, 96, 96]" in str(caught.value)
