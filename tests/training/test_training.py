"""What a run writes and learns, and what comes of its parts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.transforms.functional import center_crop

import spdbuild
from spdbuild.data.sets.digits import Digits
from spdbuild.errors import DataError, RecipeError, WeightsError
from spdbuild.training.checkpoint import load_state
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.run import train
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.predict import predict
from spdbuild.training.trained.stored_run import load_model
from spdbuild.weights import open_weights


def test_a_run_leaves_the_files_of_the_contract(recipe: Path, tmp_path: Path) -> None:
    folder = train(recipe, ["epochs=2"], runs=tmp_path, quiet=True).folder
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files >= {
        "recipe.yaml",
        "architecture.yaml",
        "environment.json",
        "log.txt",
        "metrics.jsonl",
        "metrics.csv",
        "weights/last.safetensors",
        "weights/best.safetensors",
        "state/state.pt",
        "report/index.html",
        "report/confusion.png",
        "report/confusion.csv",
        "report/classes.csv",
        "report/images.csv",
        "report/by_image.npz",
        "report/loss.png",
    }
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    with (folder / "metrics.csv").open() as table:
        assert [float(row["test/top1"]) for row in csv.DictReader(table)] == [row["test/top1"] for row in rows]
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__
    assert (environment["seed"], environment["device"]) == (0, "cpu")
    images = {"trained_on": Digits().open("train"), "evaluated_on": Digits().open("test")}
    assert environment["data"] == {
        name: {"images": len(own), "classes": 10, "digest": own.digest} for name, own in images.items()
    }


def test_runs_of_one_name_are_numbered(recipe: Path, tmp_path: Path) -> None:
    names = [train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True).folder.name for _ in range(3)]
    assert names == ["small", "small-2", "small-3"]


def test_the_saved_weights_rebuild_the_model_from_the_saved_architecture(recipe: Path, tmp_path: Path) -> None:
    result = train(recipe, ["passes=['strided_to_spd()']", "epochs=1", "~ema"], runs=tmp_path, quiet=True)
    model = spdbuild.build(result.folder / "architecture.yaml", weights=result.folder / "weights" / "last.safetensors")
    images = Digits().open("test")
    with torch.inference_mode():
        right = model.eval()(images.images / 255).argmax(dim=1) == images.labels
    assert right.double().mean().item() == pytest.approx(result.metrics["top1"])
    assert sum(parameter.numel() for parameter in model.parameters()) == result.parameters


def test_the_loss_of_an_epoch_is_the_mean_over_its_images(recipe: Path, tmp_path: Path) -> None:
    # Without anything random, and nearly nothing learned. The last of the twelve batches is not full.
    network = "model: m\ninputs: {image: [3, 8, 8]}\nvars: {classes: 10}\nlayers:\n"
    (tmp_path / "tiny.yaml").write_text(f"{network}  - flatten()\n  - head: linear(classes)\n")
    options = ["epochs=1", "optimizer.lr=1e-12", "~augment", "~ema"]
    folder = train(recipe, options, runs=tmp_path, quiet=True).folder
    model = spdbuild.build(folder / "architecture.yaml", weights=folder / "weights" / "last.safetensors")
    images = Digits().open("train")
    with torch.inference_mode():
        expected = nn.functional.cross_entropy(model(images.images / 255), images.labels)
    (row,) = RunFolder(folder).metrics()
    assert row["train/loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_the_last_epoch_is_evaluated_whether_it_is_due_or_not(recipe: Path, tmp_path: Path) -> None:
    folder = train(recipe, ["evaluate_every=2"], runs=tmp_path, quiet=True).folder
    rows = load_state(folder / "state" / "state.pt").position["rows"]
    assert ["test/top1" in row for row in rows] == [False, True, True]


def test_the_average_is_what_is_saved(recipe: Path, tmp_path: Path) -> None:
    folder = train(recipe, ["epochs=1", "ema={decay: 0.9, ramp: 0}"], runs=tmp_path, quiet=True).folder
    state, saved = load_state(folder / "state" / "state.pt"), load_file(folder / "weights" / "last.safetensors")
    assert state.ema is not None
    assert all(torch.equal(saved[name], tensor) for name, tensor in state.ema["model"].items())
    assert any(not torch.equal(saved[name], tensor) for name, tensor in state.model.items())


def test_training_learns_digits(recipe: Path, tmp_path: Path) -> None:
    options = ["epochs=8", "batch=32", "~augment", "optimizer.lr=0.05", "~ema"]
    assert train(recipe, options, runs=tmp_path, quiet=True).metrics["top1"] > 0.85


def test_a_step_is_that_of_a_plain_loop(recipe: Path, tmp_path: Path) -> None:
    """One step with the whole data as its batch, so that order and augmentation say nothing, beside plain torch."""
    text = (tmp_path / "tiny.yaml").read_text().replace("  - dropout(0.1)\n", "")
    (tmp_path / "tiny.yaml").write_text(text)
    torch.manual_seed(0)
    start = spdbuild.build(tmp_path / "tiny.yaml")
    save_file(start.state_dict(), tmp_path / "start.safetensors")
    options = [f"weights={tmp_path / 'start.safetensors'}", "batch=1437", "epochs=1", "~augment", "~ema"]
    folder = train(recipe, options, runs=tmp_path, quiet=True).folder
    images = Digits().open("train")
    optimizer = torch.optim.SGD(start.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    decayed = [p for name, p in start.named_parameters() if name.endswith("weight") and p.dim() > 1]
    loss = nn.functional.cross_entropy(start(images.images / 255), images.labels)
    (loss + 0.5 * 5e-4 * sum(p.square().sum() for p in decayed)).backward()
    optimizer.step()
    saved = load_file(folder / "weights" / "last.safetensors")
    for name, tensor in start.state_dict().items():
        torch.testing.assert_close(saved[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_accumulated_batches_are_one_large_batch(recipe: Path, tmp_path: Path) -> None:
    """Without batch norm, whose statistics are those of the small batches."""
    lines = (tmp_path / "tiny.yaml").read_text().splitlines(keepends=True)
    (tmp_path / "tiny.yaml").write_text("".join(line for line in lines if "norm" not in line and "dropout" not in line))
    common = ["epochs=1", "drop_last=true", "~augment", "~ema"]
    runs = [
        train(recipe, [*common, *options], runs=tmp_path, quiet=True)
        for options in (["batch=100"], ["batch=50", "accumulate=2"])
    ]
    large, small = (load_file(run.folder / "weights" / "last.safetensors") for run in runs)
    for name, tensor in large.items():
        torch.testing.assert_close(small[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_frozen_layers_stay_as_they_were(recipe: Path, tmp_path: Path) -> None:
    save_file(spdbuild.build(tmp_path / "tiny.yaml").state_dict(), tmp_path / "start.safetensors")
    options = [f"weights={tmp_path / 'start.safetensors'}", "freeze=[stem, norm]", "epochs=1", "~ema"]
    folder = train(recipe, options, runs=tmp_path, quiet=True).folder
    before, after = load_file(tmp_path / "start.safetensors"), load_file(folder / "weights" / "last.safetensors")
    assert torch.equal(before["stem.weight"], after["stem.weight"])
    assert torch.equal(before["norm.running_mean"], after["norm.running_mean"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_a_teacher_pulls_the_outputs_towards_its_own(recipe: Path, tmp_path: Path) -> None:
    teacher = train(recipe, ["epochs=1", "~ema"], runs=tmp_path, quiet=True).folder
    weights = teacher / "weights" / "last.safetensors"
    distill = f"distill={{architecture: {tmp_path / 'tiny.yaml'}, weights: {weights}, share: 1.0}}"
    same = [f"weights={weights}", "optimizer.lr=1e-12", "~augment", "epochs=1"]
    folder = train(recipe, [distill, *same], runs=tmp_path, quiet=True).folder
    row = json.loads((folder / "metrics.jsonl").read_text())
    assert row["train/loss"] == pytest.approx(row["train/distance"])
    assert row["train/distance"] > 0


def test_costs_are_those_of_the_image_behind_the_preprocessing(recipe: Path, tmp_path: Path) -> None:
    options = ["preprocess=[{name: resize, size: 16}]", "max_steps=1"]
    result = train(recipe, options, runs=tmp_path, quiet=True)
    architecture = spdbuild.load(tmp_path / "tiny.yaml", inputs=[(3, 16, 16)])
    assert result.macs == spdbuild.summary(architecture).macs


def test_a_network_for_other_images_than_those_of_the_data_is_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="made for images of 3x64x64, and the data gives 3x8x8") as caught:
        train(recipe, ["input=[3, 64, 64]"], runs=tmp_path, quiet=True)
    assert caught.value.problems[0].hint == "leave 'input' out, or give the data that size"
    grey = tmp_path / "tiny.yaml"
    grey.write_text(grey.read_text().replace("[3, 8, 8]", "[1, 8, 8]"))
    with pytest.raises(RecipeError, match="made for images of 1x8x8, and the data gives 3x8x8"):
        train(recipe, runs=tmp_path, quiet=True)


def test_a_teacher_with_other_outputs_is_refused(recipe: Path, tmp_path: Path) -> None:
    weights = tmp_path / "wide.safetensors"
    save_file(dict(spdbuild.build(spdbuild.load(tmp_path / "tiny.yaml", vars={"classes": 20})).state_dict()), weights)
    teacher = f"distill={{architecture: {tmp_path / 'tiny.yaml'}, weights: {weights}, vars: {{classes: 20}}}}"
    with pytest.raises(RecipeError, match="the teacher gives 20 and the network 10"):
        train(recipe, [teacher], runs=tmp_path, quiet=True)


def test_data_whose_splits_count_classes_differently_is_refused(recipe: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    for split, names in {"train": ("car", "person"), "val": ("person",)}.items():
        document = {
            "images": [{"id": 1, "file_name": "0.png", "width": 8, "height": 8}],
            "categories": [{"id": len(name), "name": name} for name in names],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 6, "bbox": [0, 0, 8, 8], "area": 64, "iscrowd": 0}],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(document))
    places = "train_images: ., train_annotations: train.json, val_images: ., val_annotations: val.json"
    data = f"data={{name: coco, root: {tmp_path}, {places}}}"
    with pytest.raises(DataError, match="class 0 is 'car' in the images to train on and 'person' in those to evaluate"):
        train("tiny_objects", [data, "~expect"], runs=tmp_path, quiet=True)


def test_twins_are_trained_and_compared(recipe: Path, tmp_path: Path) -> None:
    options = ["passes=['strided_to_spd()']", "compare={strided: {passes: []}}", "epochs=1"]
    result = train(recipe, options, runs=tmp_path, quiet=True)
    (twin,) = result.twins
    assert (twin.title, twin.folder) == ("strided", result.folder / "strided")
    assert twin.parameters < result.parameters
    table = (result.folder / "comparison.md").read_text()
    assert table in (result.folder / "log.txt").read_text()
    assert table not in (result.folder / "strided" / "log.txt").read_text()
    assert f"{result.parameters:,}" in table
    assert f"{twin.macs:,}" in table


def test_evaluation_counts_what_the_model_says(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=2"], runs=tmp_path, quiet=True)
    report = evaluate(done.folder, weights=done.folder / "weights" / "last.safetensors", output=tmp_path / "out")
    assert report.evaluation.scalars == pytest.approx(done.metrics)
    document = json.loads(json.dumps(report.to_dict()))
    assert document["images"] == 360 == sum(map(sum, document["confusion"]))
    assert [entry["class"] for entry in document["classes"]] == list("0123456789")
    assert document["speed"]["latency_ms"]["p50"] <= document["speed"]["latency_ms"]["p99"]
    with Image.open(tmp_path / "out" / "confusion.png") as picture:
        assert picture.format == "PNG"


def test_evaluation_of_a_recipe_needs_weights(recipe: Path) -> None:
    with pytest.raises(WeightsError, match="a recipe alone has no trained weights"):
        evaluate(recipe)


def test_predictions_name_file_classes_and_scores(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=8", "batch=32", "~augment", "optimizer.lr=0.05", "~ema"], runs=tmp_path, quiet=True)
    images = Digits().open("test")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(np.ascontiguousarray(images.images[number].permute(1, 2, 0))).save(folder / f"{number:02}.png")
    found = list(predict(done.folder, folder))
    assert [entry.file.name for entry in found] == [f"{number:02}.png" for number in range(20)]
    labels = map(str, images.labels[:20].tolist())
    assert sum(entry.found[0]["class"] == label for entry, label in zip(found, labels, strict=True)) > 14
    scores = [entry["score"] for entry in found[0].found]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("side", [8, 6], ids=["whole", "cropped"])
def test_a_file_is_seen_in_the_form_in_which_the_data_was(recipe: Path, tmp_path: Path, resize: str, side: int) -> None:
    random = np.random.default_rng(0)
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        pixels = random.integers(0, 256, (12, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / name / "0.png")
    data = f"data={{name: folder, root: {tmp_path / 'data'}, size: 8, resize: {resize}}}"
    options = ["epochs=1", "batch=2", data, f"preprocess=[{{name: center_crop, size: {side}}}]"]
    done = train(recipe, options, runs=tmp_path, quiet=True)
    seen = list(predict(done.folder, [tmp_path / "data" / "test"]))
    stored = load_model(done.folder)
    images = stored.recipe.data.open("test").images
    assert (stored.image, stored.input) == ((3, 8, 8), (3, side, side))
    with torch.inference_mode():
        expected = stored.model(center_crop(images, [side, side]).float() / 255).softmax(dim=1)
    for prediction, shares in zip(seen, expected, strict=True):
        found = {entry["class"]: entry["score"] for entry in prediction.found}
        assert [found["cat"], found["dog"]] == pytest.approx(shares.tolist(), abs=1e-5)


def test_between_predictions_the_caller_computes_in_its_own_precision(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1", "precision=bf16"], runs=tmp_path, quiet=True)
    for name in ("0.png", "1.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    inside = [torch.is_autocast_enabled("cpu") for _ in predict(done.folder, [tmp_path / "0.png", tmp_path / "1.png"])]
    assert inside == [False, False]


def test_a_file_that_is_no_image_is_named(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path, quiet=True)
    (tmp_path / "empty.png").touch()
    (seen,) = predict(done.folder, [tmp_path / "empty.png"])
    assert (seen.found, seen.problem) == ((), f"{tmp_path / 'empty.png'}: is empty (0 bytes)")
    with pytest.raises(DataError, match="there is no file or folder"):
        list(predict(done.folder, [tmp_path / "nowhere"]))


def test_a_run_without_weights_is_named(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path, quiet=True)
    for path in (done.folder / "weights").iterdir():
        path.unlink()
    with pytest.raises(WeightsError, match="has no weights"):
        evaluate(done.folder)


def test_weights_say_what_they_are_for(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path, quiet=True)
    with safe_open(done.folder / "weights" / "best.safetensors", "pt") as file:
        facts = file.metadata()
    assert json.loads(facts["classes"]) == list("0123456789")
    assert json.loads(facts["input"]) == [3, 8, 8]


def test_weights_say_which_epoch_they_are_of(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=2"], runs=tmp_path, quiet=True)
    folder = RunFolder(done.folder)
    epochs = [open_weights(path).metadata["epoch"] for path in (folder.best, folder.last)]
    assert epochs == [str(done.best_epoch), "2"]


def test_weights_of_an_epoch_that_was_cut_off(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=2", "max_steps=1"], runs=tmp_path, quiet=True)
    folder = RunFolder(done.folder)
    assert [open_weights(path).metadata["epoch"] for path in (folder.best, folder.last)] == ["1", "1"]
    assert folder.metrics()[-1]["epoch"] == 1


def test_the_recipe_of_a_run_is_resolved_with_its_overrides(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["max_steps=1", "seed=3"], runs=tmp_path, quiet=True)
    assert load_recipe(done.folder / "recipe.yaml") == load_recipe(recipe, ["max_steps=1", "seed=3"])


def test_the_best_epoch_by_a_loss_is_that_of_the_lowest(tmp_path: Path) -> None:
    text = "architecture: cifar_resnet20\ndata: {name: digits}\nepochs: 3\nworkers: 0\ntask: {monitor: loss}\n"
    done = train(text, ["batch=256"], runs=tmp_path, quiet=True)
    losses = [row["test/loss"] for row in RunFolder(done.folder).metrics()]
    assert done.best == min(losses)
    assert losses[done.best_epoch - 1] == min(losses)


def test_with_a_validation_folder_the_test_images_are_kept_for_the_end(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        for name in ("dark", "light"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8), (number, 99, 200 * (name == "light"))).save(folder / f"{number}.png")
    data = f"{{name: folder, root: {tmp_path}/data}}"
    text = f"architecture: cifar_resnet20\ndata: {data}\nbatch: 4\nepochs: 1\nworkers: 0\n"
    run = train(text, runs=tmp_path / "runs", quiet=True).folder
    found = [evaluate(run, speed=False, split=split) for split in (None, "test")]
    assert [(report.split, report.images) for report in found] == [("val", 4), ("test", 6)]
    with pytest.raises(RecipeError, match="the data set 'digits' has no split 'val'"):
        evaluate(run, "data={name: digits}", speed=False, split="val")
