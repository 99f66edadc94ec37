"""What is trained on some images meets others: of other classes, or of another size."""

from __future__ import annotations

import json
import re
import shutil
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file, save_file

import spdbuild
from spdbuild.cli import spdbuild as cli
from spdbuild.errors import ArgumentError, DataError, InputError, RecipeError, WeightsError
from spdbuild.reporting.run import read_run
from spdbuild.training.recipe import load_recipe
from spdbuild.training.report.outputs import Outputs
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.predict import predict
from spdbuild.training.trained.stored_run import load_model
from spdbuild.weights.facts import Facts


@pytest.fixture
def trained(recipe: Path, tmp_path: Path) -> Path:
    """The folder of a run on images of the classes bee and wasp."""
    write_images(tmp_path / "insects", ("bee", "wasp"))
    recipe.write_text(recipe.read_text().replace("{name: digits}", f"{{name: folder, root: {tmp_path / 'insects'}}}"))
    return train(recipe, ["batch=2", "max_steps=1"], runs=tmp_path / "runs", quiet=True).folder


def write_images(root: Path, classes: tuple[str, ...], test_side: int = 8) -> None:
    for split, side in {"train": 8, "test": test_side}.items():
        for name in classes:
            (root / split / name).mkdir(parents=True)
            Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(root / split / name / "0.png")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("ant", "bee"), "the data has the class 'ant', which the weights do not have"),
        (("bee", "wasp", "wasps"), "the data has the class 'wasps', which the weights do not have"),
    ],
)
def test_weights_are_not_evaluated_on_other_classes(
    trained: Path, tmp_path: Path, classes: tuple[str, ...], message: str
) -> None:
    write_images(tmp_path / "others", classes)
    with pytest.raises(WeightsError, match=message):
        evaluate(trained, [f"data.root={tmp_path / 'others'}"], speed=False)


def test_weights_are_evaluated_on_other_images_of_their_classes(trained: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "others", ("bee", "wasp"))
    assert evaluate(trained, [f"data.root={tmp_path / 'others'}"], speed=False).images == 2


def test_images_of_some_of_the_classes_are_matched_by_name(recipe: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "insects", ("ant", "bee", "wasp"))
    recipe.write_text(recipe.read_text().replace("{name: digits}", f"{{name: folder, root: {tmp_path / 'insects'}}}"))
    trained = train(recipe, ["batch=3", "max_steps=1", "vars.classes=3"], runs=tmp_path / "runs", quiet=True).folder
    whole = evaluate(trained, speed=False).evaluation
    # Without a training folder, as images are that one was sent for a test.
    write_images(tmp_path / "two", ("bee", "wasp"))
    shutil.rmtree(tmp_path / "two" / "train")
    two = evaluate(trained, [f"data.root={tmp_path / 'two'}"], speed=False).evaluation
    assert two.classes == ("ant", "bee", "wasp")
    assert whole.confusion is not None
    assert two.confusion is not None
    assert two.confusion.tolist() == [[0, 0, 0], *whole.confusion.tolist()[1:]]
    assert two.scalars["mean_class_top1"] == two.scalars["top1"]


def test_images_of_another_size_than_those_to_train_on_are_refused(recipe: Path, tmp_path: Path) -> None:
    root = tmp_path / "insects"
    write_images(root, ("bee", "wasp"), test_side=12)
    options = [f"data={{name: folder, root: {root}}}", "batch=2", "max_steps=1"]
    with pytest.raises(
        DataError, match="the images to train on have 8x8 pixels, and those to evaluate on 12x12"
    ) as caught:
        train(recipe, options, runs=tmp_path / "runs", quiet=True)
    assert caught.value.problems[0].hint == "give the side in pixels that all shall have, such as data.size: 64"
    assert train(recipe, [*options, "data.size=8"], runs=tmp_path / "runs", quiet=True).folder.is_dir()


def test_a_network_for_other_images_than_those_of_the_data_is_refused(trained: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        evaluate(trained, ["input=[3, 16, 16]"], speed=False)
    problem = caught.value.problems[0]
    assert problem.message == "the network is made for images of 3x16x16, and the data gives 3x8x8"
    assert problem.hint == "leave 'input' out, or give the data that size"
    assert str(problem.location) == "command line:1:7"


def test_costs_are_those_of_the_images_that_are_evaluated(trained: Path) -> None:
    small, large = (evaluate(trained, [f"preprocess=[{{name: resize, size: {n}}}]"], speed=False) for n in (8, 16))
    assert small.stored.input == (3, 8, 8)
    assert large.stored.input == (3, 16, 16)
    assert large.stored.macs > 3 * small.stored.macs


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("optimizer.lr=0.5", "optimizer.lr"),
        ("epochs=7", "epochs"),
        ("seed=1", "seed"),
        ("loss.label_smoothing=0.1", "loss.label_smoothing"),
        ("architecture=resnet18", "architecture"),
        ("passes=['strided_to_spd()']", "passes"),
        ("weights=other.safetensors", "weights"),
    ],
)
def test_what_a_trained_model_does_not_read_is_refused(trained: Path, change: str, key: str) -> None:
    with pytest.raises(RecipeError, match=f"'{key}' cannot change once a model is trained") as caught:
        evaluate(trained, ["batch=3", change], speed=False)
    location = caught.value.problems[0].location
    assert location is not None
    assert location.text == change
    assert caught.value.problems[0].hint == (
        "a trained model takes batch, channels_last, data, device, input, precision, preprocess, task, test_batch, "
        "variant, vars, workers; for other weights give --weights, for another network name a recipe, too"
    )


def test_a_device_that_is_none_has_its_place(trained: Path) -> None:
    with pytest.raises(RecipeError, match="there is no device 'banana'") as caught:
        evaluate(trained, ["device=banana"], speed=False)
    assert str(caught.value.problems[0].location) == "command line:1:8"


def test_paths_may_be_texts(trained: Path, tmp_path: Path) -> None:
    weights = str(trained / "weights" / "last.safetensors")
    evaluate(str(trained), weights=weights, output=str(tmp_path / "seen"), speed=False)
    assert (tmp_path / "seen" / "images.csv").is_file()
    (prediction,) = predict(str(trained), [str(tmp_path / "insects" / "test" / "bee" / "0.png")], weights=weights)
    assert len(prediction.found) == 2


def test_a_recipe_that_is_read_already_takes_no_overrides(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="takes no overrides: epochs=1"):
        train(load_recipe(recipe), ["epochs=1"], runs=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_var_that_a_variant_sets_stays_what_the_recipe_made_it(tmp_path: Path) -> None:
    architecture = tmp_path / "net.yaml"
    architecture.write_text(
        "model: net\ninputs: {image: [3, 8, 8]}\nvars: {classes: 10}\nvariants: {n: {width: 4}}\nlayers:\n"
        "  - stem: conv2d(width, 3)\n  - global_avg_pool()\n  - head: linear(classes)\n"
    )
    text = (
        f"architecture: {architecture}\nvariant: n\nvars: {{width: 6}}\ndata: {{name: digits}}\nepochs: 1\nmax_steps: 1"
    )
    folder = train(f"{text}\nworkers: 0\n", runs=tmp_path, quiet=True).folder
    assert load_model(folder).model.get_parameter("stem.weight").shape[0] == 6


def test_a_run_stands_for_its_best_weights(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    best, last = (trained / "weights" / f"{name}.safetensors" for name in ("best", "last"))
    assert load_model(trained).weights == best
    assert caplog.messages == []
    best.unlink()
    assert load_model(trained).weights == last
    assert caplog.messages == [f"{best} is missing; the last weights of the run are used"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file"):
        evaluate(trained, ["batch=0"], output=tmp_path / "file" / "seen")
    with pytest.raises(InputError, match="file is a file"):
        Outputs(tmp_path / "file" / "seen")


def test_what_does_not_read_in_a_run_comes_with_the_version_that_wrote_it(trained: Path) -> None:
    facts = json.loads((trained / "environment.json").read_text())
    (trained / "environment.json").write_text(json.dumps({**facts, "spdbuild_commit": "0123456789ab"}))
    (trained / "recipe.yaml").write_text((trained / "recipe.yaml").read_text().replace("warmup_epochs", "warmup_steps"))
    for reading in (load_model, resume):
        with pytest.raises(RecipeError, match="'schedule' has no key 'warmup_steps'") as caught:
            reading(trained)
        (problem,) = caught.value.problems
        assert problem.hint == "did you mean 'warmup_epochs'?"
        assert problem.trail == (f"this run was written by spdbuild {spdbuild.__version__} (commit 0123456789)",)


def test_what_a_person_typed_does_not_come_from_the_version_of_the_run(trained: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_model(trained, overrides=["schedule.warmup_steps=1"])
    assert caught.value.problems[0].trail == ()


@pytest.fixture
def keyed(recipe: Path, tmp_path: Path) -> Path:
    """A recipe with the weights under "model" of a checkpoint whose average is another."""
    state = spdbuild.build(tmp_path / "tiny.yaml").state_dict()
    torch.save({"model": state, "ema": {name: torch.zeros_like(t) for name, t in state.items()}}, tmp_path / "two.pt")
    recipe.write_text(f"{recipe.read_text()}\nweights: {{file: {tmp_path / 'two.pt'}, key: model}}\n")
    return recipe


def test_the_key_of_a_recipe_is_that_of_its_evaluation(keyed: Path, tmp_path: Path) -> None:
    stored = load_model(keyed, size=(8, 8))
    assert stored.taken_from == "model"
    assert stored.model.get_parameter("stem.weight").abs().sum() > 0
    averaged = load_model(keyed, tmp_path / "two.pt", size=(8, 8))
    assert averaged.taken_from == "ema"
    assert not averaged.model.get_parameter("stem.weight").any()


def test_the_key_is_printed(keyed: Path, tmp_path: Path) -> None:
    file = tmp_path / "two.pt"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "0.png")
    for options, key in (([], "model"), (["--weights", str(file)], "ema")):
        seen = CliRunner().invoke(cli, ["predict", str(keyed), str(tmp_path / "0.png"), *options])
        assert seen.stderr == f"weights from {file}, under '{key}'\n"
        evaluated = CliRunner().invoke(cli, ["eval", str(keyed), "--no-speed", *options])
        assert evaluated.stdout.startswith(f"{file}, under '{key}', on ")


def test_the_key_can_be_chosen_for_an_evaluation_and_a_prediction(keyed: Path, tmp_path: Path) -> None:
    file = tmp_path / "two.pt"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "0.png")
    for options, under in ((["--key", "model"], "'model'"), (["--key", "ema"], "'ema'")):
        words = ["--weights", str(file), *options]
        seen = CliRunner().invoke(cli, ["predict", str(keyed), str(tmp_path / "0.png"), *words])
        assert seen.stderr == f"weights from {file}, under {under}\n"
        evaluated = CliRunner().invoke(cli, ["eval", str(keyed), "--no-speed", *words])
        assert evaluated.stdout.startswith(f"{file}, under {under}, on ")


def test_a_model_is_loaded_from_one_of_two_networks_by_its_prefix(keyed: Path, tmp_path: Path) -> None:
    state, both = torch.load(tmp_path / "two.pt"), tmp_path / "both.pt"
    torch.save({f"{side}.{name}": t for side, tensors in state.items() for name, t in tensors.items()}, both)
    for side in ("model", "ema"):
        stored = load_model(keyed, spdbuild.StoredWeights(both, prefix=f"{side}."), size=(8, 8))
        assert torch.equal(stored.model.get_parameter("stem.weight"), state[side]["stem.weight"])


def test_the_key_of_a_teachers_weights_can_be_chosen(keyed: Path, tmp_path: Path) -> None:
    file = tmp_path / "two.pt"
    teacher = f"distill={{architecture: {tmp_path / 'tiny.yaml'}, weights: {{file: {file}, key: model}}}}"
    folder = train(keyed, ["max_steps=1", teacher], runs=tmp_path, quiet=True).folder
    assert f"teacher: weights from {file}, under 'model'\n" in (folder / "log.txt").read_text()
    short = [f"distill={{architecture: {tmp_path / 'tiny.yaml'}, weights: {file}}}", "distill.weights.key=model"]
    assert load_recipe(keyed, [teacher]).distill == load_recipe(keyed, short).distill


def test_of_two_teachers_in_a_file_one_is_chosen_as_the_hint_says(keyed: Path, tmp_path: Path) -> None:
    state, both = torch.load(tmp_path / "two.pt"), tmp_path / "both.pt"
    torch.save({f"{side}.{name}": t for side, tensors in state.items() for name, t in tensors.items()}, both)
    distill = {"architecture": str(tmp_path / "tiny.yaml"), "weights": str(both)}
    with pytest.raises(WeightsError, match="the file holds several networks that fit") as caught:
        train(keyed, {"max_steps": 1, "distill": distill}, runs=tmp_path, quiet=True)
    problem = caught.value.problems[0]
    assert "or in a recipe weights: {file: ..., prefix: model.} (from Python: prefix='model.' in " in problem.hint
    assert problem.location is not None
    chosen = distill | {"weights": {"file": str(both), "prefix": "model."}}
    folder = train(keyed, {"max_steps": 1, "distill": chosen}, runs=tmp_path, quiet=True).folder
    assert f"teacher: weights from {both}, behind 'model.'\n" in (folder / "log.txt").read_text()


def test_the_key_of_a_teachers_weights_is_logged(keyed: Path, tmp_path: Path) -> None:
    teacher = f"{{architecture: {tmp_path / 'tiny.yaml'}, weights: {tmp_path / 'two.pt'}}}"
    folder = train(keyed, ["max_steps=1", f"distill={teacher}"], runs=tmp_path, quiet=True).folder
    assert f"teacher: weights from {tmp_path / 'two.pt'}, under 'ema'\n" in (folder / "log.txt").read_text()


def average(folder: Path, file: Path) -> Path:
    """A file with the weights of a run, as a script of one's own saves them: it says nothing about classes."""
    save_file(load_file(folder / "weights" / "best.safetensors"), file)
    return file


def test_weights_of_ones_own_take_the_classes_and_the_size_of_the_run(trained: Path, tmp_path: Path) -> None:
    file = average(trained, tmp_path / "avg.safetensors")
    for named in (trained, str(trained)):
        stored = load_model(named, file)
        assert (stored.classes, stored.input, stored.image) == (("bee", "wasp"), (3, 8, 8), (3, 8, 8))
    (prediction,) = predict(trained, [tmp_path / "insects" / "test" / "bee" / "0.png"], weights=file)
    assert {entry["class"] for entry in prediction.found} == {"bee", "wasp"}
    done = spdbuild.export(trained, tmp_path / "avg.pt2", file)
    assert done.card["classes"] == ["bee", "wasp"]
    folded = tmp_path / "folded.st"
    words = ["--weights", file, "-o", tmp_path / "folded.yaml", "--weights-out", folded]
    assert CliRunner().invoke(cli, ["fold", str(trained), *map(str, words)]).exit_code == 0
    assert Facts.of(folded).classes == ("bee", "wasp")
    converted = tmp_path / "converted.st"
    words = ["--weights", file, "-o", tmp_path / "converted.yaml", "--weights-out", converted]
    assert CliRunner().invoke(cli, ["convert", str(trained), *map(str, words)]).exit_code == 0
    assert Facts.of(converted) == Facts.of(folded) == Facts(("bee", "wasp"), (3, 8, 8), (8, 8))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_takes_the_place_of_a_file(trained: Path, tmp_path: Path, prefix: str) -> None:
    file = trained / "weights" / "last.safetensors"
    state = OrderedDict((prefix + name, tensor) for name, tensor in load_file(file).items())
    stored = load_model(trained, state)
    assert all(torch.equal(tensor, state[prefix + name]) for name, tensor in stored.model.state_dict().items())
    assert (stored.weights, stored.classes, stored.image) == (None, ("bee", "wasp"), (3, 8, 8))
    assert repr(stored).startswith("StoredModel(a state_dict: 3x8x8, ")
    image = tmp_path / "insects" / "test" / "bee" / "0.png"
    (seen,), (expected,) = (list(predict(trained, image, weights=weights)) for weights in (state, file))
    assert seen.found == expected.found
    told, of_file = (evaluate(trained, weights=weights, speed=False).to_dict() for weights in (state, file))
    assert told["weights"] == "a state_dict"
    assert told == of_file | {"weights": "a state_dict"}


def test_an_evaluation_of_a_state_dict_says_so_in_a_report(trained: Path, tmp_path: Path) -> None:
    state = load_file(trained / "weights" / "last.safetensors")
    evaluate(trained, weights=state, speed=False, output=tmp_path / "seen")
    (section,) = spdbuild.report(tmp_path / "seen", quiet=True).sections
    assert section.title == "folder test with a state_dict"
    file = tmp_path / "seen" / "evaluation.json"
    facts = json.loads(file.read_text())
    assert (facts["weights"], facts["file"], facts["summary"]["weights"]) == ("a state_dict",) * 3
    file.write_text(json.dumps(facts | {"summary": None}))
    call = f"spdbuild.evaluate('{trained}', weights=..., split='test', output='{tmp_path / 'seen'}')"
    with pytest.raises(InputError, match=re.escape(f"afterwards `{call}`")):
        read_run(tmp_path / "seen")


def test_a_recipe_takes_a_state_dict_under_the_names_of_others(recipe: Path, tmp_path: Path) -> None:
    theirs = "rename: {theirs: {stem: conv1, norm: bn1, down: conv2, norm2: bn2, head: fc}}\n"
    (tmp_path / "tiny.yaml").write_text((tmp_path / "tiny.yaml").read_text() + theirs)
    ours = spdbuild.build(tmp_path / "tiny.yaml").state_dict()
    names = {"stem": "conv1", "norm": "bn1", "down": "conv2", "norm2": "bn2", "head": "fc"}
    state = {f"{names[name.split('.')[0]]}.{name.split('.')[1]}": tensor for name, tensor in ours.items()}
    stored = load_model(recipe, state, size=(8, 8))
    assert (stored.folder, stored.weights) == (None, None)
    assert torch.equal(stored.model.get_parameter("head.weight"), ours["head.weight"])


def test_a_state_dict_that_does_not_fit_is_refused_with_every_misfit(trained: Path) -> None:
    state = load_file(trained / "weights" / "best.safetensors")
    state["more"] = state.pop("stem.weight")
    state["head.bias"] = torch.zeros(3)
    for call in (load_model, evaluate, lambda run, weights: list(predict(run, [], weights=weights))):
        with pytest.raises(WeightsError) as caught:
            call(trained, weights=state)
        assert [(problem.message, problem.hint) for problem in caught.value.problems] == [
            ("the state_dict: 1 of 14 weights are not in it: stem.weight", ""),
            ("the state_dict: 1 weights of it are not used: more", "leave them out of it"),
            ("the state_dict: 'head.bias' needs 2, has 3", ""),
        ]
    with pytest.raises(WeightsError, match="the state_dict: 12 of 14 weights are not in it: "):
        load_model(trained, OrderedDict())


def test_a_checkpoint_in_place_of_a_state_dict_is_refused_with_its_key(trained: Path) -> None:
    checkpoint = {"epoch": 3, "model": load_file(trained / "weights" / "best.safetensors")}
    with pytest.raises(ArgumentError, match="a state_dict has tensors by name, and 'epoch' is a int") as caught:
        load_model(trained, checkpoint)  # type: ignore[arg-type]
    assert caught.value.problems[0].hint == "give what is under 'model'"


def test_the_architecture_of_a_run_is_the_network_that_it_trained(trained: Path) -> None:
    network = spdbuild.load(trained / "architecture.yaml")
    assert network.document.vars["classes"] == 2
    assert network.graph == spdbuild.load(trained).graph
    spdbuild.build(network, trained / "weights" / "best.safetensors")
    # But for that it is the author's.
    assert "  - stem: conv2d(8, 3)\n" in network.text


def test_a_run_of_an_older_version_gives_its_classes_to_weights_of_ones_own(trained: Path, tmp_path: Path) -> None:
    older = (trained / "architecture.yaml").read_text().replace("classes: 2", "classes: 10").replace("8, 8]", "32, 32]")
    (trained / "architecture.yaml").write_text(older)
    stored = load_model(trained, average(trained, tmp_path / "avg.safetensors"))
    assert stored.classes == ("bee", "wasp")
    (trained / "weights" / "best.safetensors").write_bytes(b"damaged")
    assert load_model(trained, tmp_path / "avg.safetensors").classes == ("bee", "wasp")


EXTENDING = """model: own
extends: tiny.yaml
expect: {parameters: 2000}
"""
EXPECTING = """model: own
inputs: {image: [3, 32, 32]}
vars:
  classes: 1000  # of ImageNet
  width: 8
variants: {n: {width: 4}, s: {width: 8}}
expect: {parameters: {n: 1, s: 2}}
layers:
  - stem: conv2d(width, 3)
  - global_avg_pool()
  - head: linear(classes)
"""


@pytest.mark.parametrize(("text", "variant"), [(EXTENDING, None), (EXPECTING, "n")], ids=["extending", "expecting"])
def test_an_architecture_becomes_that_of_its_run(recipe: Path, tmp_path: Path, text: str, variant: str | None) -> None:
    (tmp_path / "own.yaml").write_text(text)
    written = recipe.read_text().replace("tiny.yaml", "own.yaml")
    recipe.write_text(written + (f"variant: {variant}\nvars: {{width: 6}}\n" if variant else ""))
    options = ["max_steps=1", "epochs=1", "preprocess=[{name: resize, size: 16}]"]
    folder = train(recipe, options, runs=tmp_path / "runs", quiet=True).folder
    network = spdbuild.load(folder / "architecture.yaml", variant)
    assert network.graph == spdbuild.load(folder).graph
    assert [tuple(node.shape) for node in network.graph.inputs] == [(3, 16, 16)]
    spdbuild.build(network, folder / "weights" / "best.safetensors")
    spdbuild.check(folder / "architecture.yaml")
    kept = (folder / "architecture.yaml").read_text()
    assert ("classes: 10  # of ImageNet" in kept) == (variant is not None)
    resume(folder, ["epochs=2", "max_steps=2"], quiet=True)
    assert (folder / "architecture.yaml").read_text() == kept


def test_a_file_of_weights_in_place_of_a_run_is_told(trained: Path) -> None:
    weights = trained / "weights" / "last.safetensors"
    with pytest.raises(RecipeError, match=f"{weights} is a file of weights, and says no network") as caught:
        load_model(weights)
    assert caught.value.problems[0].hint.endswith(f"and {weights} with --weights (from Python: weights=...)")
