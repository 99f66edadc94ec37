"""What a program gives to training and evaluation, and what they leave alone in it."""

from __future__ import annotations

import pickle
import random
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from spdbuild.conversion.convert import convert
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import ArgumentError, RecipeError, RunError, WeightsError
from spdbuild.loading import load
from spdbuild.reporting.report import report
from spdbuild.training.network.network import resolve
from spdbuild.training.recipe import load_recipe, twins
from spdbuild.training.running.run import resume, train
from spdbuild.training.running.updates import Updates
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.predict import predict
from spdbuild.training.trained.stored_run import load_model


@pytest.fixture
def folder(recipe: Path, tmp_path: Path) -> Path:
    return train(recipe, ["max_steps=2"], runs=tmp_path / "runs", quiet=True).folder


def test_a_model_that_is_loaded_is_evaluated_as_its_run(folder: Path) -> None:
    model = load_model(folder)
    assert evaluate(model, speed=False).evaluation.metrics == evaluate(folder, speed=False).evaluation.metrics
    assert evaluate(model, speed=False).stored is model


def test_a_model_that_is_loaded_predicts_as_its_run(folder: Path) -> None:
    picture = folder / "report" / "samples.png"
    model = load_model(folder)
    (again,), (first,) = (list(predict(source, picture)) for source in (model, folder))
    assert again.found == first.found


def test_images_in_memory_are_seen_as_their_files_are(folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 16, 3), np.uint8)
    model, path = load_model(folder), tmp_path / "x.png"
    Image.fromarray(pixels).save(path)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    images = [path, Image.fromarray(pixels), pixels, tensor]
    (expected,) = predict(model, path)
    several = list(predict(model, images))
    assert [prediction.found for prediction in several] == [expected.found] * 4
    assert [str(prediction.file) for prediction in several] == [str(path), "image 1", "image 2", "image 3"]
    for image in images[1:]:
        (alone,) = predict(model, image)
        assert alone.found == expected.found
    assert [one.found for one in predict(model, np.stack([pixels, pixels]))] == [expected.found] * 2
    grey = pixels[:, :, 0]
    (first,), (second,) = predict(model, grey), predict(model, torch.from_numpy(grey)[None])
    assert first.found == second.found


def test_a_detector_sees_images_in_memory(small_detector: Path, tmp_path: Path) -> None:
    text = f"architecture: {small_detector}\ndata: {{name: tiny_objects, images: 8, size: 64}}\n"
    folder = train(text, {"epochs": 1, "max_steps": 1, "batch": 4, "workers": 0}, runs=tmp_path, quiet=True).folder
    pixels = TinyObjects(images=8, size=64).open("val")
    image = pixels.draw(pixels.images[0])
    Image.fromarray(image).save(tmp_path / "x.png")
    changed = {"task.seeing.nms.min_score": 0.0}
    (from_file,), (from_memory,) = (list(predict(folder, given, changed)) for given in (tmp_path / "x.png", image))
    assert from_file.found
    assert from_memory.found == from_file.found
    np.testing.assert_array_equal(from_memory.pixels, image)


@pytest.mark.parametrize(
    "given",
    [np.zeros((4, 4, 3)), torch.zeros(3, 4, 4), np.zeros((4, 4, 5), np.uint8), [torch.zeros(2, dtype=torch.uint8)]],
)
def test_what_is_no_image_is_told(folder: Path, given: Any) -> None:
    with pytest.raises(ArgumentError, match="image 0 is (ndarray|Tensor) .* of (float|uint8)"):
        list(predict(load_model(folder), given))


def test_what_is_neither_an_image_nor_a_path_is_told(folder: Path) -> None:
    with pytest.raises(ArgumentError, match=r"image 0 is int\n"):
        list(predict(load_model(folder), [3]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overrides": "batch=3"}, "a model that is loaded already takes no overrides"),
        ({"weights": "other.safetensors"}, "a model that is loaded already takes no weights"),
    ],
)
def test_a_model_that_is_loaded_stays_as_it_is(folder: Path, given: dict[str, str], message: str) -> None:
    model = load_model(folder)
    for call in (lambda: evaluate(model, **given), lambda: list(predict(model, folder, **given))):  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match=message):
            call()


def test_a_model_of_other_classes_is_not_evaluated(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    others = load_model(folder, overrides="data={name: generated, classes: 3, train: 30, test: 9}")
    assert others.classes == model.classes
    with pytest.raises(WeightsError, match="the data has the class .*, which the weights do not have"):
        evaluate(others, speed=False)


def test_a_recipe_may_be_a_mapping(recipe: Path) -> None:
    wanted = load_recipe(recipe)
    given = yaml.safe_load(recipe.read_text())
    # A mapping has no file, whose name would be the title.
    assert load_recipe({**given, "title": wanted.title}) == wanted
    with pytest.raises(RecipeError, match="'epochs' must be a whole number") as caught:
        load_recipe({**given, "epochs": "ten"})
    assert str(caught.value.problems[0].location).startswith("recipe:")


def test_overrides_may_be_a_mapping(recipe: Path) -> None:
    given = {"epochs": 2, "optimizer.lr": 1e-3, "augment": [], "title": "1e3", "patience": None, "vars.classes": 12}
    wanted = ["epochs=2", "optimizer.lr=0.001", "augment=[]", "title='1e3'", "patience=null", "vars.classes=12"]
    assert load_recipe(recipe, given) == load_recipe(recipe, wanted)


#: A network with a var that others do not have.
WIDE = """
model: wide
inputs: {image: [1, 8, 8]}
vars: {width: 8}
layers:
  - stem: conv2d(width, 3)
  - global_avg_pool()
  - head: linear(10)
"""


@pytest.mark.parametrize("other", [WIDE, "cifar_resnet20"], ids=["the same file", "another"])
def test_a_twin_is_the_architecture_that_was_given(other: str) -> None:
    run, twin = load(WIDE, vars={"width": 20}), load(other)
    recipe = load_recipe({"architecture": run, "data": {"name": "digits"}, "compare": {"twin": {"architecture": twin}}})
    assert resolve(recipe).graph == run.graph
    assert resolve(twins(recipe)["twin"]).graph == twin.graph


def test_a_network_of_a_recipe_may_be_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(load("cifar_resnet20").text)
    Path("nets").mkdir()
    Path("nets/wide.yaml").write_text("model: wide\nextends: ../base.yaml  # a comment\nvars: {classes: 7}\n")
    chosen = load("yolov5", variant="n", vars={"classes": 4}, inputs=[(3, 64, 64)])
    for architecture in (load("cifar_resnet20"), load("nets/wide.yaml"), load(load("resnet18").text), chosen):
        converted, _ = convert(architecture)
        twin = {"architecture": converted}
        keys = {"architecture": architecture, "data": {"name": "tiny_objects"}, "compare": {"spd": twin}}
        recipe, alone = load_recipe(keys), load_recipe({**keys, **twin, "compare": {}})
        monkeypatch.chdir("/")
        assert resolve(recipe).graph == architecture.graph
        assert resolve(twins(recipe)["spd"]).graph == resolve(alone).graph == converted.graph
        monkeypatch.chdir(tmp_path)
    assert keys["architecture"] is chosen
    assert load_recipe({**keys, "vars": {"classes": 5}, "compare": {}}).vars == {"classes": 5}


def test_a_converted_architecture_is_trained_and_resumed(tmp_path: Path) -> None:
    converted, _ = convert(load("cifar_resnet20", inputs=[(3, 8, 8)], vars={"classes": 10}))
    keys = {"architecture": converted, "data": {"name": "digits"}, "batch": 64, "max_steps": 1, "workers": 0}
    folder = train(keys, runs=tmp_path, quiet=True).folder
    assert resume(folder, {"max_steps": 2}, quiet=True).parameters == converted.graph.parameters


@pytest.mark.parametrize(
    ("keys", "key", "kind"),
    [
        ({"augment": {1, 2}}, "augment", "set"),
        ({"optimizer": {"lr": torch.ones(2)}}, "optimizer.lr", "Tensor"),
        ({"compare": {"twin": {"passes": ["a", b"b"]}}}, "compare.twin.passes.1", "bytes"),
        ({"vars": {3: 4}}, "vars.3", "int"),
    ],
)
def test_a_recipe_with_a_value_that_yaml_cannot_hold_names_the_key(keys: dict[str, Any], key: str, kind: str) -> None:
    with pytest.raises(ArgumentError, match=f"the value of '{key}', of type {kind}, is none of YAML"):
        train({"architecture": "resnet18", "data": {"name": "digits"}, **keys})


@pytest.mark.parametrize("given", [5, None, ["a", "b"]])
def test_what_is_no_recipe_is_told(given: object) -> None:
    with pytest.raises(ArgumentError, match="a recipe is a path, a built-in name, YAML text or a mapping of keys, got"):
        train(given)  # type: ignore[arg-type]


def test_random_numbers_of_the_program_are_its_own(recipe: Path, tmp_path: Path) -> None:
    def drawn(*, training: bool) -> tuple[float, float, float]:
        random.seed(5), np.random.seed(5), torch.manual_seed(5)
        if training:
            train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert drawn(training=True) == drawn(training=False)


def test_a_second_run_at_the_same_time_in_one_process_is_refused(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    step = Updates.step

    def waiting(updates: Updates, group: Any) -> None:
        begun.set()
        go_on.wait(60)
        step(updates, group)

    monkeypatch.setattr(Updates, "step", waiting)
    first = threading.Thread(target=train, args=(recipe, ["max_steps=1"]), kwargs={"runs": tmp_path, "quiet": True})
    first.start()
    assert begun.wait(60)
    with pytest.raises(RunError, match="another run trains in this process"):
        train(recipe, ["max_steps=1"], runs=tmp_path / "others", quiet=True)
    assert not (tmp_path / "others").exists()
    go_on.set()
    first.join()
    assert train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True).folder.name == "small-2"


def test_results_are_shown_in_a_line_and_in_tables(recipe: Path, tmp_path: Path) -> None:
    result = train(recipe, ["max_steps=2", "compare={twin: {seed: 1}}"], runs=tmp_path / "runs", quiet=True)
    shown = evaluate(result.folder, speed=False)
    told = report(result.folder)
    assert repr(result).startswith(f"Result({result.folder}: top1=")
    assert repr(result).endswith("; twins: twin)")
    assert repr(shown).startswith(f"EvaluationReport({shown.stored.weights} on 360 images of test: top1=")
    assert repr(shown.evaluation).startswith("Evaluation(top1=")
    assert repr(shown.stored).startswith(f"StoredModel({shown.stored.weights}: 3x8x8, ")
    assert re.fullmatch(r"Report\(.*: 2 runs; 0 left out\)", repr(told))
    assert max(len(repr(one)) for one in (result, shown, shown.evaluation, shown.stored, told)) < 400
    assert result._repr_html_().count("<tr>") == 3
    assert shown._repr_html_().count("<tr>") == 1 + len(shown.evaluation.metrics) + 1 + 10
    assert "<h4>" in told._repr_html_()


def test_an_evaluation_can_be_pickled(folder: Path) -> None:
    report = evaluate(folder, speed=False)
    again = pickle.loads(pickle.dumps(report.evaluation))
    assert again.metrics == report.evaluation.metrics
    assert again.files["images.csv"]() == report.evaluation.files["images.csv"]()
    assert pickle.loads(pickle.dumps(report)).to_dict() == report.to_dict()


def test_recipes_and_loaded_models_can_be_pickled(recipe: Path, folder: Path) -> None:
    wanted = load_recipe(recipe)
    assert pickle.loads(pickle.dumps(wanted)) == wanted
    assert pickle.loads(pickle.dumps(load_model(folder))).classes == load_model(folder).classes
