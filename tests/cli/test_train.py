"""`spdbuild train`, `eval` and `predict`: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from spdbuild.cli.detector_options import changes
from spdbuild.cli.predict import _line
from spdbuild.cli.predict import command as predict
from spdbuild.training.report.outputs import WRITERS
from spdbuild.training.task import Prediction

Run = Callable[..., Result]

ARCHITECTURE = """\
model: tiny
inputs: {image: [3, 8, 8]}
layers:
  - stem: conv2d(4, 3, stride=2)
  - relu()
  - global_avg_pool()
  - head: linear(10)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipe `small.yaml`: one epoch on handwritten digits."""
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    (tmp_path / "tiny.yaml").write_text(ARCHITECTURE)
    recipe = f"architecture: {tmp_path / 'tiny.yaml'}\ndata: {{name: digits}}\nepochs: 1\nworkers: 0\ndevice: cpu\n"
    (tmp_path / "small.yaml").write_text(recipe)
    return tmp_path


def test_training_says_its_progress_on_stderr_and_its_results_on_stdout(run: Run, folder: Path) -> None:
    result = run("train", folder / "small.yaml", "--runs", folder / "runs", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["folder"] == str(folder / "runs" / "small")
    # A convolution without bias and a linear layer; 4x4 outputs with 27 taps each in 4 channels.
    assert (document["params"], document["macs"]) == (3 * 4 * 9 + 50, 16 * 4 * 27 + 40)
    assert result.stderr.startswith("small: 158 parameters, 1,768 MACs at 3x8x8, 10 classes, cpu ")
    assert "epoch 1/1  train/loss " in result.stderr


def test_a_quiet_run_says_nothing_and_keeps_its_log(run: Run, folder: Path) -> None:
    result = run("train", folder / "small.yaml", "--runs", folder / "runs", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert "epoch 1/1" in (folder / "runs" / "small" / "log.txt").read_text()


def test_a_run_can_be_resumed_for_longer(run: Run, folder: Path) -> None:
    run("train", folder / "small.yaml", "--runs", folder / "runs", "--quiet")
    result = run("train", "--resume", folder / "runs" / "small", "epochs=2")
    assert result.exit_code == 0, result.output
    assert "small: going on in epoch 2 at step 13" in result.stderr


def test_a_wrong_override_exits_with_2(run: Run, folder: Path) -> None:
    result = run("train", folder / "small.yaml", "optimiser.lr=1", "--runs", folder / "runs")
    assert result.exit_code == 2
    assert result.stderr == (
        "command line:1:1: error: a recipe has no key 'optimiser'\n"
        "    1 | optimiser.lr=1\n"
        "      | ^\n"
        "      = hint: did you mean 'optimizer'?\n"
    )
    assert not (folder / "runs").exists()


def test_a_result_below_what_is_expected_exits_with_1(run: Run, folder: Path) -> None:
    result = run("train", folder / "small.yaml", "expect={top1: 1}", "--runs", folder / "runs", "--quiet")
    assert result.exit_code == 1
    assert "and the recipe expects at least 1" in result.stderr


def test_training_needs_a_recipe_or_a_run(run: Run) -> None:
    result = run("train")
    assert result.exit_code == 2
    assert "name a recipe, or a run's folder with --resume" in result.stderr


def test_evaluation_and_prediction_of_a_run(run: Run, folder: Path) -> None:
    run("train", folder / "small.yaml", "--runs", folder / "runs", "--quiet")
    trained = folder / "runs" / "small"
    document = json.loads(run("eval", trained, "--json", "--no-speed").stdout)
    assert (document["images"], document["speed"]) == (360, None)
    assert f"top1             {document['metrics']['top1']:.4f}" in run("eval", trained, "--no-speed").stdout
    picture = folder / "digit.png"
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(picture)
    (found,) = json.loads(run("predict", trained, picture, "--json").stdout)
    assert found["file"] == str(picture)
    assert len(found["predictions"]) == 5
    best = found["predictions"][0]
    assert run("predict", trained, picture).stdout.startswith(f"{picture}: {best['class']} {best['score']:.3f}, ")


def test_predicting_with_what_is_no_run_exits_with_2(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "digit.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(picture)
    result = run("predict", tmp_path, picture)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {tmp_path} is not the folder of a run: it has no recipe.yaml\n"
        "      = hint: name the folder that `spdbuild train` said, such as runs/quickstart\n"
    )


def test_a_picture_that_cannot_be_read_is_named_and_skipped(run: Run, folder: Path) -> None:
    trained = json.loads(run("train", folder / "small.yaml", "--runs", folder / "runs", "--quiet", "--json").stdout)
    good, junk = folder / "digit.png", folder / "junk.png"
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(good)
    junk.write_text("no picture")
    result = run("predict", trained["folder"], junk, good, "-o", folder / "seen")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{good}: ")
    said = f"{junk}: is not an image that can be read"
    assert result.stderr == f"error: {said}\nerror: 1 file could not be read\n"
    assert [path.name for path in (folder / "seen").iterdir()] == ["predictions.csv"]
    bad, _ = json.loads(run("predict", trained["folder"], junk, good, "--json").stdout)
    assert (bad["predictions"], bad["error"]) == ([], said)


def test_the_options_of_a_detector_change_its_recipe() -> None:
    given = {
        "--min-score": ("nms.min_score", 0.5),
        "--max-iou": ("nms.max_iou", None),
        "--class": ("classes", ("a car", "no")),
    }
    assert changes("tiny_objects", (), given) == ["nms.min_score=0.5", 'classes=[a car, "no"]']
    assert changes("quickstart", (), {"--tile": ("tile", None), "--class": ("classes", ())}) == []


def test_every_form_of_predictions_can_be_saved() -> None:
    (forms,) = (parameter.type for parameter in predict.params if parameter.name == "forms")
    assert list(forms.choices) == list(WRITERS)


def test_a_line_has_boxes_in_brackets_and_names_a_dozen_things() -> None:
    thing = {"class": "cat", "index": 0, "score": 0.5, "box": [1.2, 2.0, 3.0, 4.6]}
    assert _line(Prediction(Path("a.png"), (thing,))) == "a.png: cat 0.500 [1, 2, 3, 5]"
    assert _line(Prediction(Path("a.png"), (thing,) * 1000)).endswith("[1, 2, 3, 5] and 988 more")


def test_the_name_of_a_picture_makes_no_line_of_its_own(run: Run, folder: Path) -> None:
    run("train", folder / "small.yaml", "--runs", folder / "runs", "--quiet")
    picture = folder / "a\nother.png: cat 1.000.png"
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(picture)
    said = run("predict", folder / "runs" / "small", picture).stdout
    assert len(said.splitlines()) == 1
    assert said.startswith(f"{folder}/a\\nother.png: cat 1.000.png: ")
