"""Several views of each image: their probabilities averaged, as numpy does it by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spdbuild
from spdbuild.metrics.by_image.answers import Answers
from spdbuild.reporting.report import report
from spdbuild.training.views import FlipOptions, MeanOfFlips

RECIPE = {
    "architecture": "cifar_resnet20",
    "data": {"name": "generated", "train": 9, "test": 9, "size": 16},
    "batch": 4,
    "epochs": 1,
    "title": "views",
}
CPU = torch.device("cpu")
BOTH = FlipOptions(horizontal_flip=True, vertical_flip=True)


class Corner(nn.Module):
    """Logits of an image: the three channels of its upper left pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return images[:, :, 0, 0]


def test_the_image_itself_is_the_first_view() -> None:
    assert FlipOptions().flips == ((),)
    assert FlipOptions(horizontal_flip=True).flips == ((), (3,))
    assert BOTH.flips == ((), (2,), (3,), (3, 2))


def test_probabilities_are_averaged() -> None:
    images = torch.randn(5, 3, 4, 6)
    found = MeanOfFlips(Corner(), BOTH)(images).softmax(dim=1)
    corners = images.double().numpy()[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    shares = np.exp(corners) / np.exp(corners).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), shares.mean(axis=2), rtol=1e-6)


def test_a_class_that_is_all_but_impossible_keeps_a_finite_loss() -> None:
    images = torch.zeros(1, 3, 2, 2)
    images[:, 0] = 1000
    logits = MeanOfFlips(Corner(), FlipOptions(horizontal_flip=True))(images)
    torch.testing.assert_close(logits, torch.tensor([[0.0, -1000, -1000]]))


def test_views_keep_their_place_in_memory() -> None:
    network = Corner()
    MeanOfFlips(network, BOTH)(torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last))
    assert len(network.seen) == 4
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in network.seen)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(spdbuild.train(RECIPE, runs=tmp_path_factory.mktemp("runs"), quiet=True).folder)


def test_evaluation_and_prediction_look_alike(run: Path, tmp_path: Path) -> None:
    flip = ["task.tta.horizontal_flip=true"]
    plain, seen = (spdbuild.evaluate(run, changes, speed=False).evaluation for changes in ([], flip))
    stored = spdbuild.load_model(run, overrides=flip)
    images = stored.recipe.task.open(stored.recipe, "test")
    pixels = [image.permute(1, 2, 0).numpy() for image in images.images]
    scores = [{thing["index"]: thing["score"] for thing in seen.found} for seen in spdbuild.predict(stored, pixels)]
    places = [i for i, label in enumerate(images.labels.tolist()) if label in scores[i]]
    expected = [-np.log(scores[i][images.labels[i].item()]) for i in places]
    assert len(places) > 3
    answers = seen.by_image
    assert isinstance(answers, Answers)
    np.testing.assert_allclose(answers.losses[places], expected, rtol=1e-5)
    assert seen.scalars["loss"] != plain.scalars["loss"]
    assert (plain.protocol, seen.protocol) == ("", "2 views of each image: horizontal flip")


def test_a_report_does_not_take_other_views_for_the_same_evaluation(run: Path, tmp_path: Path) -> None:
    spdbuild.evaluate(run, speed=False, output=tmp_path / "plain")
    spdbuild.evaluate(run, ["task.tta.vertical_flip=true"], speed=False, output=tmp_path / "views")
    found = json.dumps(report(tmp_path / "plain", tmp_path / "views").to_dict())
    assert "task.tta.vertical_flip=true" in found
    assert "task.tta.vertical_flip=false" in found


def test_a_run_that_is_older_than_the_key_is_compared_with_one_that_has_no_further_view(
    run: Path, tmp_path: Path
) -> None:
    older = tmp_path / "older"
    shutil.copytree(run, older)
    recipe = older / "recipe.yaml"
    text = recipe.read_text()
    plain = "  tta:\n    horizontal_flip: false\n    vertical_flip: false\n"
    assert plain in text
    recipe.write_text(text.replace(plain, ""))
    (section,) = report(run, older).to_dict()["sections"]
    assert len(section["groups"]) == 1
    assert section["measured"]["task.tta.horizontal_flip"] is False


def test_training_evaluates_with_the_views_of_its_recipe(tmp_path: Path) -> None:
    recipe = RECIPE | {"task": {"tta": {"horizontal_flip": True}}}
    result = spdbuild.train(recipe, runs=tmp_path, quiet=True)
    again = spdbuild.evaluate(result.folder, weights=Path(result.folder) / "weights/last.safetensors", speed=False)
    assert again.evaluation.scalars == pytest.approx(result.metrics, rel=1e-6)


def test_outputs_without_a_class_take_their_share_in_predictions_as_in_evaluation(tmp_path: Path) -> None:
    result = spdbuild.train(RECIPE | {"vars": {"classes": 12}}, runs=tmp_path, quiet=True)
    stored = spdbuild.load_model(result.folder)
    images = stored.recipe.task.open(stored.recipe, "test")
    pixels = [image.permute(1, 2, 0).numpy() for image in images.images]
    inputs = next(iter(stored.recipe.task.batches(stored.recipe, images, training=False, rank=0, world=1, device=CPU)))
    with torch.inference_mode():
        shares = stored.model(inputs[0]).softmax(dim=1)[:, :9]
    assert shares.sum(dim=1).max() < 0.999
    for row, prediction in zip(shares, spdbuild.predict(stored, pixels), strict=False):
        assert prediction.found[0]["score"] == pytest.approx(row.max().item(), rel=1e-4)
