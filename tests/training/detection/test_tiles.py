"""Runs that learn from windows of their images and are measured on the images."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from spdbuild.cli.eval import command
from spdbuild.errors import DataError, RecipeError
from spdbuild.training.detection import seeing
from spdbuild.training.report.summary import Summary
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.predict import predict

TILES = ["task.tiles.size=48", "task.tiles.overlap=0.5", "epochs=1", "task.augment.close_mosaic=0"]


def test_a_run_learns_from_windows_and_is_measured_on_images(recipe: Path, tmp_path: Path) -> None:
    plain = train(
        recipe, ["epochs=1", "task.augment.close_mosaic=0", "title=plain"], runs=tmp_path / "runs", quiet=True
    )
    tiled = train(recipe, [*TILES, "title=tiled"], runs=tmp_path / "runs", quiet=True)
    steps = [json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])["step"] for run in (plain, tiled)]
    # 24 images of 64 pixels are 3 steps of 8; each has 4 windows of 48, of which those with objects are kept.
    assert steps[0] == 3 < steps[1] <= 12
    report = evaluate(tiled.folder, speed=True)
    assert report.images == report.evaluation.counts["images"] == evaluate(plain.folder, speed=False).images
    assert set(report.stages) == {1, 8}
    assert "tiles of 48" in report.evaluation.protocol
    # 6 images to evaluate on, of 4 tiles each: counted, and told with the latency of one.
    counts = report.evaluation.counts
    assert (counts["images"], counts["tiles"]) == (6, 24)
    said = CliRunner().invoke(command, [str(tiled.folder)]).stdout
    assert re.search(r"latency of one tile: .*; an image has 4\.0 of them\n", said)
    summary = Summary.read(tiled.folder / "report")
    assert summary.macs_per_image == 4 * summary.macs == 4 * Summary.read(plain.folder / "report").macs_per_image


def test_pictures_are_looked_at_as_the_images_were(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(recipe, [*TILES, "title=tiled"], runs=tmp_path, quiet=True)
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    asked: list[tuple[int | None, float]] = []
    parts_of = seeing.parts_of
    monkeypatch.setattr(seeing, "parts_of", lambda *args: asked.append(args[1:3]) or parts_of(*args))
    list(predict(run.folder, [tmp_path / "black.png"]))
    list(predict(run.folder, [tmp_path / "black.png"], ["task.seeing.tile=32"]))
    assert asked == [(48, 0.5), (32, 0.2)]


def test_a_run_goes_on_with_the_windows_that_it_began_with(recipe: Path, tmp_path: Path) -> None:
    run = train(recipe, [*TILES, "epochs=2", "max_steps=2", "title=tiled"], runs=tmp_path, quiet=True)
    stored = run.folder / "recipe.yaml"
    stored.write_text(stored.read_text().replace("size: 48", "size: 32"))
    with pytest.raises(RecipeError, match=r"'task\.tiles\.size' cannot change"):
        resume(run.folder, ["max_steps=null"], quiet=True)
    # As if the state had been edited alike.
    file = run.folder / "state" / "state.pt"
    torch.save({**torch.load(file, weights_only=True), "recipe": stored.read_text()}, file)
    with pytest.raises(DataError, match="images to train on, and .* when the run began"):
        resume(run.folder, ["max_steps=null"], quiet=True)


def test_the_same_weights_give_the_same_numbers_in_one_window(recipe: Path, tmp_path: Path) -> None:
    run = train(recipe, ["epochs=1", "task.augment.close_mosaic=0"], runs=tmp_path, quiet=True)
    whole = evaluate(run.folder, speed=False).evaluation
    assert evaluate(run.folder, ["task.tiles.size=64"], speed=False).evaluation.metrics == whole.metrics
    cut = evaluate(run.folder, ["task.tiles.size=32"], speed=False).evaluation
    assert cut.metrics != whole.metrics
    assert all(math.isfinite(value) for value in cut.metrics.values() if value is not None)
