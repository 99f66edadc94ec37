"""Images with a height and a width of their own, all the way from their files to predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image

from spdbuild.cli import spdbuild as command
from spdbuild.data.files.decoding import decode
from spdbuild.errors import RecipeError
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.predict import predict
from spdbuild.training.trained.stored_graph import stored_graph
from spdbuild.training.trained.stored_run import load_model
from spdbuild.weights.facts import Facts

Same = Callable[[Path, Path], None]

RECIPE = """\
architecture: {architecture}
data: {{name: folder, root: {root}, size: [20, 10], resize: crop}}
augment:
  - {{name: random_resized_crop, size: [20, 10], area: [0.5, 1.0]}}
  - {{name: random_crop, padding: 2}}
  - {{name: horizontal_flip}}
  - {{name: vertical_flip, probability: 0.1}}
  - {{name: rotation, degrees: 5}}
  - {{name: rand_augment}}
  - {{name: trivial_augment}}
  - {{name: random_erasing}}
  - {{name: mixup_or_cutmix}}
preprocess:
  - {{name: center_crop, size: [16, 8]}}
  - {{name: normalize, statistics: half}}
batch: 4
epochs: 2
precision: fp32
workers: 0
device: cpu
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a recipe for six people to train on and four to test, in pictures of several sizes."""
    random = np.random.default_rng(0)
    for split, count in (("train", 3), ("test", 2)):
        for name in ("ann", "bob"):
            (tmp_path / "people" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (40 + 3 * number, 24 - number, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "people" / split / name / f"{number}.png")
    (tmp_path / "tiny.yaml").write_text(
        "model: tiny\ninputs: {image: [3, 8, 8]}\nvars: {classes: 10}\nlayers:\n  - stem: conv2d(8, 3, stride=2)\n"
        "  - relu()\n  - flatten()\n  - head: linear(classes)\n"
    )
    (tmp_path / "people.yaml").write_text(RECIPE.format(architecture=tmp_path / "tiny.yaml", root=tmp_path / "people"))
    return tmp_path / "people.yaml"


@pytest.fixture
def folder(recipe: Path, tmp_path: Path) -> Path:
    """The folder of a run."""
    return train(recipe, runs=tmp_path / "runs", quiet=True).folder


def test_a_run_stores_the_height_and_width(folder: Path) -> None:
    assert yaml.safe_load((folder / "recipe.yaml").read_text())["data"]["size"] == [20, 10]
    assert [tuple(node.shape) for node in stored_graph(folder).graph.inputs] == [(3, 16, 8)]
    for name in ("best", "last"):
        facts = Facts.of(folder / "weights" / f"{name}.safetensors")
        assert (facts.size, facts.input) == ((20, 10), (3, 16, 8))


def test_it_is_evaluated_and_timed_at_its_own_size(folder: Path) -> None:
    report = evaluate(folder)
    assert (report.images, report.stored.input, report.stored.image) == (4, (3, 16, 8), (3, 20, 10))
    assert report.stored.macs == 3 * 3 * 3 * 8 * (8 * 4) + 8 * (8 * 4) * 2
    assert report.speed is not None
    shown = CliRunner().invoke(command, ["eval", str(folder), "--no-speed", "--json"])
    assert json.loads(shown.stdout)["images"] == 4


def test_a_file_and_an_array_are_seen_as_images_of_the_data_are(folder: Path, tmp_path: Path) -> None:
    path, model = tmp_path / "people" / "test" / "bob" / "1.png", load_model(folder)
    pixels = torch.from_numpy(decode(path, (20, 10), "crop"))
    with torch.inference_mode():
        wanted = model.model(((pixels[:, 2:18, 1:9] / 255 - 0.5) / 0.5)[None]).softmax(1).amax()
    for source in (path, np.asarray(Image.open(path)), Image.open(path)):
        (prediction,) = predict(model, source)
        assert prediction.found[0]["score"] == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("options", [[], ["data.memory_gib=0", "workers=2"]], ids=["memory", "workers"])
def test_a_run_stopped_and_resumed_is_the_uninterrupted_run(
    folder: Path, recipe: Path, tmp_path: Path, options: list[str], assert_same_run: Same
) -> None:
    part = train(recipe, [*options, "max_steps=3"], runs=tmp_path / "part", quiet=True).folder
    resume(part, ["max_steps=null"], quiet=True)
    assert_same_run(part, folder)


def test_one_number_and_the_pair_of_it_make_the_same_run(recipe: Path, tmp_path: Path, assert_same_run: Same) -> None:
    steps = "[{{name: random_resized_crop, size: {size}}}, {{name: random_crop, size: {size}}}]"
    number, pair = (
        train(recipe, [f"data.size={size}", f"augment={steps.format(size=size)}", "preprocess=[]"], runs=tmp_path)
        for size in ("12", "[12, 12]")
    )
    assert_same_run(number.folder, pair.folder)
    assert yaml.safe_load((number.folder / "recipe.yaml").read_text())["data"]["size"] == 12


def test_a_teacher_and_a_twin_get_the_same_images(folder: Path, recipe: Path, tmp_path: Path) -> None:
    teacher = f"{{architecture: {tmp_path / 'tiny.yaml'}, weights: {folder / 'weights' / 'best.safetensors'}}}"
    options = [f"distill={teacher}", "compare={spd: {passes: ['strided_to_spd()']}}", "epochs=1"]
    run = train(recipe, options, runs=tmp_path / "taught", quiet=True).folder
    found = [Facts.of(file).input for file in run.parent.rglob("last.safetensors")]
    assert found == [(3, 16, 8)] * 2


def test_a_network_for_images_that_lie_is_not_for_those_that_stand(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        train(recipe, ["input=[3, 8, 16]"], runs=tmp_path / "runs", quiet=True)
    assert caught.value.problems[0].message == "the network is made for images of 3x8x16, and the data gives 3x16x8"
    assert train(recipe, ["input=[3, 16, 8]", "max_steps=1"], runs=tmp_path / "runs", quiet=True).folder.is_dir()


def test_steps_are_tried_on_images_of_the_height_and_width(recipe: Path, tmp_path: Path) -> None:
    wide: dict[str, Any] = {"preprocess": [{"name": "center_crop", "size": [8, 16]}]}
    with pytest.raises(RecipeError, match="center_crop cannot cut 16x8 from 10x20 pixels"):
        train(load_recipe(recipe, wide), runs=tmp_path / "runs", quiet=True)
