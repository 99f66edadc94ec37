"""A checkpoint of the published code is imported, evaluated and used for predictions as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from spdbuild.cli import spdbuild
from spdbuild.training.evaluate import evaluate
from spdbuild.training.predict import predict
from spdbuild.training.recipe import load_recipe

RECIPES = {
    # batch, batches of a step behind the warm-up, decay, epochs, final learning rate: section 4.1 of the protocol.
    "coco_yolov5_spd_n": (128, 1, 1e-3, 300, 0.1),
    "coco_yolov5_spd_s": (128, 1, 1e-3, 300, 0.1),
    "coco_yolov5_spd_m": (32, 2, 5e-4, 200, 0.1),
    "coco_yolov5_spd_l": (20, 3, 4.6875e-4, 200, 0.2),
}


@pytest.mark.parametrize(("name", "published"), RECIPES.items())
def test_the_recipes_for_coco_are_the_published_ones(name: str, published: tuple[float, ...]) -> None:
    recipe = load_recipe(name)
    assert recipe.variant == name[-1]
    batches = recipe.accumulation(1000).batches(3000)
    step = (recipe.batch, batches, recipe.scaled_optimizer().weight_decay)
    assert (*step, recipe.epochs, recipe.schedule.final) == pytest.approx(published)  # type: ignore[attr-defined]


def test_the_published_schedule_at_chosen_steps() -> None:
    recipe = load_recipe("coco_yolov5_spd_n")
    steps = 925  # 118,287 images in batches of 128

    def rates(step: int) -> tuple[float, float, float]:
        found = recipe.schedule.rates(step, steps, 300, 0.01, 0.937)
        return found.lr, found.bias_lr, found.momentum

    # The warm-up is three epochs, 2775 steps; then the factors of the published table.
    assert rates(0) == pytest.approx((0.0, 0.1, 0.8))
    factor = 0.9999753262144805
    half = 1387 / 2775
    assert rates(1387) == pytest.approx(
        (half * 0.01 * factor, 0.1 + half * (0.01 * factor - 0.1), 0.8 + half * 0.137), rel=1e-9
    )
    for epoch, factor in ((150, 0.55), (299, 0.10002467378551949)):
        for step in (epoch * steps, epoch * steps + steps - 1):
            assert rates(step) == pytest.approx((0.01 * factor, 0.01 * factor, 0.937))


@pytest.mark.slow
def test_a_published_checkpoint_runs_through_eval_and_predict(
    golden: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "imported.safetensors"
    checkpoint = str(golden / "yolov5_spd_n.reference.pt")
    arguments = ["weights", "import", checkpoint, "--arch", "yolov5_spd", "--variant", "n", "-o", str(weights)]
    assert CliRunner().invoke(spdbuild, arguments).exit_code == 0
    options = ["input=[3, 160, 160]", "test_batch=16", "workers=0", "precision=fp32"]
    root = data_folder / "coco-mini"
    report = evaluate("coco_yolov5_spd_n", [*options, f"data.root={root}"], weights=weights, output=tmp_path / "out")
    assert report.evaluation.counts["images"] == 80
    assert report.stored.parameters == 2_256_157
    # Its weights are noise that is sure of everything, so every image has its 300 detections, under COCO's own ids.
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(found) == report.evaluation.counts["detections"] == 80 * 300
    assert max(entry["category_id"] for entry in found) > 80
    monkeypatch.chdir(tmp_path)
    picture = next((root / "val2017").glob("*.jpg"))
    (entry,) = predict("coco_yolov5_spd_n", [picture], options, weights=weights)
    # Neither the file nor data that is not there says what the classes are called.
    assert {thing["class"] for thing in entry.found} <= set(map(str, range(80)))
    assert torch.isfinite(torch.tensor([thing["box"] for thing in entry.found])).all()
