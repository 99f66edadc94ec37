"""Averages of the weights of runs, and the statistics of their batch norms, compared with torch's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import update_bn

import spdbuild
from spdbuild.cli import spdbuild as cli
from spdbuild.errors import ArgumentError, InputError, RecipeError, WeightsError
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.run import train
from spdbuild.training.trained.averaging import average_weights
from spdbuild.training.trained.recalibration import recalibrate
from spdbuild.weights import file_sha256, open_weights, save_weights
from spdbuild.weights.facts import Facts

from ..conftest import ARCHITECTURE as WITH_DROPOUT


def command(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, ["weights", "average", *map(str, arguments)])


def best(folder: Path) -> Path:
    return folder / "weights" / "best.safetensors"


#: Without dropout the statistics of norms can be computed by hand.
ARCHITECTURE = WITH_DROPOUT.replace("  - dropout(0.1)\n", "")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a recipe for handwritten digits."""
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "tiny.yaml").write_text(ARCHITECTURE)
    path = folder / "small.yaml"
    path.write_text(
        f"architecture: {folder / 'tiny.yaml'}\ndata: {{name: digits}}\nprecision: fp32\ndevice: cpu\nepochs: 1\n"
        "augment: [{name: random_crop, padding: 1}]\nmax_steps: 3\nworkers: 0\n"
    )
    return path


@pytest.fixture(scope="module")
def runs(recipe: Path) -> list[Path]:
    """The folders of two short runs with other seeds; no test may change them."""
    return [train(recipe, [f"seed={n}"], runs=recipe.parent / "runs", quiet=True).folder for n in (0, 1)]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 2, 3),
        nn.BatchNorm2d(2),
    )


def batches(count: int) -> list[tuple[torch.Tensor, None]]:
    generator = torch.Generator().manual_seed(1)
    return [(torch.randn(6, 3, 8, 8, generator=generator), None) for _ in range(count)]


def test_statistics_are_those_of_update_bn() -> None:
    ours, theirs = network(), network()
    given = batches(5)
    torch.manual_seed(2)
    recalibrate(ours, given)
    torch.manual_seed(2)
    update_bn([images for images, _ in given], theirs)
    expected = theirs.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours.state_dict().items())
    assert ours.get_buffer("1.num_batches_tracked").item() == 5
    assert not ours.training
    assert [module.momentum for module in ours if isinstance(module, nn.BatchNorm2d)] == [0.3, 0.1]


def test_statistics_are_the_means_over_the_batches() -> None:
    model, given = network(), batches(3)
    with torch.no_grad():
        seen = np.stack([model[0](images).double().numpy() for images, _ in given])
    recalibrate(model, given)
    means, variances = seen.mean(axis=(1, 3, 4)).mean(axis=0), seen.var(axis=(1, 3, 4), ddof=1).mean(axis=0)
    np.testing.assert_allclose(model.get_buffer("1.running_mean"), means, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.get_buffer("1.running_var"), variances, rtol=1e-5)


def test_frozen_norms_keep_their_statistics() -> None:
    model = network()
    recalibrate(model, batches(2), ["1"])
    assert model.get_buffer("1.running_mean").tolist() == [0.0] * 4
    assert model.get_buffer("5.num_batches_tracked").item() == 2
    with pytest.raises(WeightsError, match="the network has no batch norm whose statistics could be measured anew"):
        recalibrate(nn.Linear(2, 2), [])


def test_runs_are_averaged_into_a_file(runs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "soup.safetensors"
    result = command(*runs, "-o", output, "--json")
    assert result.exit_code == 0, result.output
    states = [load_file(best(run)) for run in runs]
    found = load_file(output)
    assert list(found) == list(states[0])
    for name, tensor in found.items():
        values = [state[name].double().numpy() for state in states]
        mean = values[0] if name.endswith("num_batches_tracked") else (values[0] + values[1]) / 2
        np.testing.assert_array_equal(tensor.numpy(), mean.astype(tensor.numpy().dtype))
    sources = [{"run": run.name, "source": "best.safetensors", "source_sha256": file_sha256(best(run))} for run in runs]
    told = json.loads(result.stdout)
    about = {"output": str(output), "tensors": len(found), "sources": sources}
    assert told == about | {"recalibrated": None, "warnings": []}
    assert json.loads(open_weights(output).metadata["sources"]) == sources
    assert Facts.of(output) == Facts.of(best(runs[0]))
    assert result.stderr == (
        f"{output}: the mean of 2, {len(found)} tensors; statistics of batch norms are their mean, too: "
        "--recalibrate RECIPE measures them\n"
    )
    assert spdbuild.evaluate(runs[0], weights=output, speed=False).images == 360


def test_a_mean_is_recalibrated_on_training_images_as_they_are(runs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "soup.safetensors"
    options = ["--recalibrate", runs[0], "--images", 250, "--set", "batch=100", "--set", "device=cpu"]
    result = command(*runs, "-o", output, *options)
    assert result.exit_code == 0, result.output
    assert result.stderr.endswith("; statistics of 2 norms from 200 images\n")
    mean = average_weights(runs).weights
    found = load_file(output)
    model = spdbuild.build(spdbuild.load(runs[0]), mean)
    # What training sees, in its order, but for the augmentation.
    wanted = load_recipe(runs[0] / "recipe.yaml", ["augment=[]", "batch=100"])
    images = wanted.task.open(wanted, "train")
    loader = wanted.task.batches(wanted, images, training=True, rank=0, world=1, device=torch.device("cpu"))
    update_bn([images for images, _ in loader][:2], model)
    expected = model.state_dict()
    changed = {name for name in found if not torch.equal(found[name], mean[name])}
    assert changed == {
        f"{norm}.{part}"
        for norm in ("norm", "norm2")
        for part in ("running_mean", "running_var", "num_batches_tracked")
    }
    for name in changed:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)
    facts = {"recipe": str(runs[0]), "images": 200, "batches": 2, "norms": 2}
    assert json.loads(open_weights(output).metadata["recalibrated"]) == facts


def test_a_recipe_recalibrates_on_all_its_images_in_full_batches(runs: list[Path], recipe: Path) -> None:
    states = [load_file(best(run)) for run in runs]
    found = average_weights(states, recalibrate=recipe, overrides={"device": "cpu"})
    assert found.recalibration is not None
    assert (found.recalibration.images, found.recalibration.batches) == (1408, 11)
    assert repr(found) == "Averaging(14 tensors of 2 sources; recalibrated on 1408 images)"
    again = average_weights(states, recalibrate=recipe, overrides={"device": "cpu"})
    assert all(torch.equal(tensor, again.weights[name]) for name, tensor in found.weights.items())


def test_statistics_have_the_type_of_the_files(runs: list[Path], tmp_path: Path) -> None:
    files = []
    for run in runs:
        half = {n: t.half() if t.is_floating_point() else t for n, t in load_file(best(run)).items()}
        save_weights(tmp_path / f"{run.name}.safetensors", half)
        files.append(tmp_path / f"{run.name}.safetensors")
    found = average_weights(files, recalibrate=runs[0], images=128).weights
    assert {tensor.dtype for tensor in found.values()} == {torch.float16, torch.int64}


def test_a_detector_is_recalibrated_on_letterboxed_images(small_detector: Path, tmp_path: Path) -> None:
    data = "{name: tiny_objects, images: 8, size: 64}"
    text = f"architecture: {small_detector}\ndata: {data}\nbatch: 4\nepochs: 1\nmax_steps: 2\nworkers: 0\n"
    run = train(text, runs=tmp_path / "runs", quiet=True).folder
    files = [run / "weights" / "last.safetensors", load_file(best(run))]
    found = average_weights(files, recalibrate=run, images=8, overrides={"batch": 4})
    assert found.recalibration is not None
    assert (found.recalibration.images, found.recalibration.batches) == (8, 2)
    assert found.weights["norm.num_batches_tracked"].item() == 2


def test_other_classes_are_refused(runs: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    state = load_file(best(runs[0]))
    names = list(Facts.of(best(runs[0])).classes)
    save_weights(other, state, {"classes": json.dumps([*names[:3], "three", *names[4:]])})
    with pytest.raises(WeightsError, match=f"{other}: class 3 is 'three', and in {best(runs[0])} '3'"):
        average_weights([runs[0], other])
    save_weights(other, state, {"classes": json.dumps(names[:9])})
    with pytest.raises(WeightsError, match=f"{other}: class 9 is missing, and in {best(runs[0])} '9'"):
        average_weights([runs[0], other])


def test_what_cannot_be_averaged_writes_nothing(runs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "soup.safetensors"
    copied = Path(shutil.copy(best(runs[0]), tmp_path / "copied.safetensors"))
    for arguments, message in (
        ([runs[0]], "an average is of two or more weights, got 1"),
        ([runs[0], best(runs[0])], f"{best(runs[0])} is given twice, and would count twice in the mean"),
        ([runs[0], copied], f"{copied} is a copy of {best(runs[0])}, and would count twice in the mean"),
        ([runs[0], runs[1].parent / "smal"], f"there is no run or file of weights '{runs[1].parent / 'smal'}'"),
        ([runs[0], tmp_path], "is not the folder of a run"),
        ([*runs, "--images", 5], "--images needs --recalibrate"),
        ([*runs, "--set", "batch=5"], "--set needs --recalibrate"),
        ([*runs, "--recalibrate", "no_such_recipe"], "there is no run or recipe 'no_such_recipe'"),
    ):
        result = command(*arguments, "-o", output)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
    assert not output.exists()
    before = best(runs[0]).read_bytes()
    result = command(*runs, "-o", best(runs[0]))
    assert (result.exit_code, best(runs[0]).read_bytes()) == (2, before)
    assert "is one of the files that are averaged" in result.stderr


def test_what_cannot_be_recalibrated_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="images must be at least 1, got 0"):
        average_weights(runs, recalibrate=runs[0], images=0)
    with pytest.raises(ArgumentError, match="overrides needs recalibrate"):
        average_weights(runs, overrides=["batch=3"])
    wrapped = [{f"module.{name}": tensor for name, tensor in load_file(best(run)).items()} for run in runs]
    with pytest.raises(WeightsError, match=r"'module\..*' is no name of a weight of .*small, whose statistics"):
        average_weights(wrapped, recalibrate=runs[0])
    with pytest.raises(RecipeError, match="'seed' cannot change once a model is trained"):
        average_weights(runs, recalibrate=runs[0], overrides=["seed=3"])


def test_what_cannot_be_written_is_refused_before_anything_is_read(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("spdbuild.training.trained.averaging.average")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        average_weights(runs, tmp_path / "file" / "mean.safetensors")


@pytest.fixture
def run_of(runs: list[Path], tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a run with a recipe and weights of its own."""

    def write(name: str, **keys: Any) -> Path:
        folder = RunFolder(tmp_path / name)
        state = {name: tensor + len(name) for name, tensor in load_file(best(runs[0])).items()}
        (folder.path / "weights").mkdir(parents=True)
        save_weights(folder.best, state, {"name": name})
        folder.recipe.write_text(json.dumps({"data": {"name": "digits"}, **keys}))
        return folder.path

    return write


def test_the_mean_of_folds_is_warned_of(run_of: Callable[..., Path], tmp_path: Path) -> None:
    folds = [run_of(f"fold{'x' * fold}", data={"name": "digits", "folds": 3, "fold": fold}) for fold in (0, 2, 1)]
    warning = (
        "the runs are of the folds 0, 1, 2, so each has learned images that others are evaluated on: measure the mean "
        "on other images, such as those of a split test"
    )
    assert average_weights(folds).warnings == (warning,)
    result = command(*folds, "-o", tmp_path / "mean.safetensors")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (0, f"warning: {warning}")
    seeds = [run_of(f"seed{'x' * seed}", seed=seed, data={"name": "digits", "folds": 3, "fold": 1}) for seed in (0, 1)]
    assert average_weights(seeds).warnings == ()


def test_the_mean_of_networks_with_other_inputs_is_warned_of(run_of: Callable[..., Path]) -> None:
    plain, normed = run_of("plain"), run_of("normed", preprocess=[{"name": "normalize", "statistics": "imagenet"}])
    assert average_weights([plain, best(normed)]).warnings == (
        f"{normed} and {plain} differ in 'preprocess': one network cannot get what both have got",
    )


def test_one_path_is_no_list_of_sources(runs: list[Path]) -> None:
    with pytest.raises(ArgumentError, match="sources are several runs, files or state_dicts, got one path"):
        average_weights(str(runs[0]))  # type: ignore[arg-type]


def test_sources_that_are_no_weights_are_refused(runs: list[Path]) -> None:
    state = load_file(best(runs[0]))
    with pytest.raises(ArgumentError, match="sources are several runs, files or state_dicts, got one state_dict"):
        average_weights(state)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="one of the sources is None"):
        average_weights([state, None])  # type: ignore[list-item]


def test_a_choice_within_files_needs_a_file(runs: list[Path], tmp_path: Path) -> None:
    result = command(*runs, "--key", "model", "-o", tmp_path / "mean.safetensors")
    assert result.exit_code == 2
    assert "key is for files, and none is among the sources" in result.stderr
    state = load_file(best(runs[0]))
    with pytest.raises(ArgumentError, match="prefix is for files, and none is among the sources"):
        average_weights([state, state], prefix="module")


def test_a_norm_of_one_number_a_channel_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    network = tmp_path / "one.yaml"
    network.write_text(ARCHITECTURE.replace("  - head", "  - last: batch_norm()\n  - head"))
    recipe = tmp_path / "one_recipe.yaml"
    recipe.write_text(f"architecture: {network}\ndata: {{name: digits}}\nepochs: 1\nworkers: 0\n")
    states = [spdbuild.build(spdbuild.load(network), seed=seed).state_dict() for seed in (0, 1)]
    with pytest.raises(RecipeError, match="batches of 1 image give a norm one number a channel"):
        average_weights(states, recalibrate=recipe, images=1)
    assert average_weights(states, recalibrate=recipe, images=2).recalibration is not None


def test_the_weights_of_the_run_that_is_measured_on_are_not_replaced(runs: list[Path]) -> None:
    states = [load_file(best(folder)) for folder in runs]
    before = best(runs[0]).read_bytes()
    with pytest.raises(ArgumentError, match="is of the run that is only measured on"):
        average_weights(states, best(runs[0]), recalibrate=runs[0])
    assert best(runs[0]).read_bytes() == before
