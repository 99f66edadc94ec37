"""`spdbuild train`, `eval` and `predict` of a detector, as a person calls them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild.cli import spdbuild


def run(*arguments: object) -> Result:
    return CliRunner().invoke(spdbuild, [str(argument) for argument in arguments])


@pytest.fixture
def trained(recipe: Path, tmp_path: Path) -> Path:
    assert run("train", recipe, "epochs=1", "--runs", tmp_path / "runs", "--quiet").exit_code == 0
    return tmp_path / "runs" / "small"


def test_eval_prints_metrics_counts_and_stages(trained: Path, tmp_path: Path) -> None:
    result = run("eval", trained, "-o", tmp_path / "out")
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.startswith("  ")}
    assert lines["AP_L"] == ["n/a"]
    assert int(lines["objects"][0]) == int(lines["objects_S"][0]) > 0
    assert "milliseconds an image in batches of 1: read" in result.stdout
    assert "| disc " in result.stdout
    assert {"predictions.json", "confusion.png", "precision_over_recall.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_eval_takes_sizes_of_ones_own(trained: Path) -> None:
    result = run("eval", trained, "task.evaluation.sizes={tiny: [0, 10], rest: [10, 100]}", "--json", "--no-speed")
    document = json.loads(result.stdout)
    assert {"AP_tiny", "AP_rest"} <= document["metrics"].keys()
    counts = document["counts"]
    # An object of exactly 10 x 10 pixels would be in both.
    assert counts["objects_tiny"] + counts["objects_rest"] >= counts["objects"]


def test_predict_draws_boxes_and_writes_what_is_asked_for(trained: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (200, 100), (90, 90, 90)).save(picture)
    assert run("predict", trained, picture, "-o", tmp_path / "seen", "--tile", 64).exit_code == 0
    with Image.open(tmp_path / "seen" / "picture.png") as drawn:
        assert drawn.size == (400, 200)
    result = run("predict", trained, picture, "-o", tmp_path / "tables", "--save", "csv", "--save", "txt", "--json")
    (entry,) = json.loads(result.stdout)
    assert (entry["file"], entry["width"], entry["height"]) == (str(picture), 200, 100)
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {"predictions.csv", "labels"}


def test_a_score_nothing_reaches_finds_nothing(trained: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (64, 64)).save(picture)
    assert run("predict", trained, picture, "--min-score", 1).stdout == f"{picture}: nothing\n"


def test_the_selection_of_boxes_has_options(trained: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.effect_noise((64, 64), 90).convert("RGB").save(picture)
    few = run("predict", trained, picture, "--min-score", 0, "--max-iou", 1, "--max-detections", 3, "--json")
    assert len(json.loads(few.stdout)[0]["predictions"]) == 3
    options = ["--min-score", 0.5, "--max-iou", 0.3, "--no-speed"]
    assert "scores from 0.5, NMS at IoU 0.3," in run("eval", trained, *options).stdout


def test_reaching_the_limit_of_boxes_is_told_once(
    trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1.png", "2.png"):
        Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / name)
    many = ["predict", trained, tmp_path / "1.png", tmp_path / "2.png", "--min-score", 0, "--max-iou", 1]
    run(*many, "--max-detections", 10_000)
    assert caplog.messages == []
    run(*many, "--max-detections", 3)
    assert caplog.messages == [
        f"warning: {tmp_path / '1.png'}: NMS kept 3 boxes, the most that it keeps of a picture or tile; if some are "
        "missing, raise --max-detections (task.seeing.nms.max_detections)"
    ]


def test_objects_that_cannot_count_are_told_before_training_and_by_eval(recipe: Path, tmp_path: Path) -> None:
    options = ["epochs=1", "task.evaluation.max_detections=1", "--runs", tmp_path / "runs"]
    told = run("train", recipe, *options)
    wanted = (
        r"warning: \d of 6 images have more than 1 objects of one class, up to \d, and no more detections than that"
    )
    assert len(re.findall(wanted, told.output)) == 1
    evaluated = run("eval", tmp_path / "runs" / "small", "--no-speed", "--json")
    assert re.match(wanted, evaluated.stderr)
    json.loads(evaluated.stdout)


def test_boxes_of_some_classes_can_be_shown_alone(trained: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.effect_noise((64, 64), 90).convert("RGB").save(picture)
    every = ["predict", trained, picture, "--min-score", 0, "--set", "task.seeing.nms.multi_label=true", "--json"]

    def shown(*names: str) -> list[tuple[str, float]]:
        result = run(*every, *(word for name in names for word in ("--class", name)))
        return [(found["class"], found["score"]) for found in json.loads(result.stdout)[0]["predictions"]]

    everything = shown()
    first, second, *others = sorted({name for name, _ in everything})
    assert others
    assert shown(first, second) == [found for found in everything if found[0] in (first, second)]
    refused = run("predict", trained, picture, "--class", first[:-1])
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"error: the network has no class '{first[:-1]}'\n      = hint: did you mean '{first}'?\n" in refused.stderr


def test_save_without_a_folder_is_a_usage_error(trained: Path, tmp_path: Path) -> None:
    result = run("predict", trained, tmp_path, "--save", "csv")
    assert result.exit_code == 2
    assert "--save needs -o FOLDER to write into" in result.stderr
