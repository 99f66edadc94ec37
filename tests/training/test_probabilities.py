"""The probabilities of all classes: those of the network's own softmax, for every image, wherever they are written."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import spdbuild
from spdbuild.cli import spdbuild as cli
from spdbuild.data import ArrayImages
from spdbuild.errors import ArgumentError, DataError, InputError
from spdbuild.system import memory
from spdbuild.training.evaluation_loop import evaluate_model
from spdbuild.training.probabilities import probabilities_of
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.report.outputs import Outputs
from spdbuild.training.task import TASKS, Prediction
from spdbuild.training.trained.stored_run import StoredModel

CPU = torch.device("cpu")
CLASSES = ("bee", "fly, of fruit", "wasp")
OUTPUTS = Path(__file__).parents[2] / "docs" / "outputs.md"

#: A linear function of pixels, of which no two images have the same: more outputs than classes with `outputs`.
ARCHITECTURE = """\
model: linear
inputs: {image: [3, 4, 4]}
vars: {classes: 3}
layers:
  - flatten()
  - head: linear(classes)
"""
#: Evaluates in two processes; only the first one writes.
EVALUATE = """
import spdbuild
found = spdbuild.evaluate({run!r}, {changes!r}, speed=False, output={output!r}, probabilities=True)
print(found.evaluation.probabilities is None)
"""


@pytest.fixture(scope="module")
def insects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of three classes to train on, and seven to test on, among them a damaged one."""
    root = tmp_path_factory.mktemp("data") / "insects"
    generator = np.random.default_rng(0)
    for split, count in {"train": 1, "test": 2}.items():
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (4, 4, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    (root / "test" / "bee" / "1b.png").write_bytes(b"no image")
    return root


def recipe_of(root: Path, insects: Path, **keys: Any) -> dict[str, Any]:
    (root / "linear.yaml").write_text(ARCHITECTURE)
    data = {"name": "folder", "root": str(insects), "on_error": "skip"}
    common = {"architecture": str(root / "linear.yaml"), "data": data, "batch": 3, "test_batch": 4, "epochs": 1}
    return {**common, "workers": 0, "precision": "fp32", "device": "cpu", "title": "insects", **keys}


@pytest.fixture(scope="module")
def run(insects: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    return Path(spdbuild.train(recipe_of(root, insects), runs=root / "runs", quiet=True).folder)


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def by_hand(stored: StoredModel, file: Path | str, flips: tuple[int, ...] = (1,)) -> NDArray[Any]:
    """The mean over views of the softmax of weights @ pixels + biases, in numpy."""
    with Image.open(file) as image:
        pixels = np.asarray(image).transpose(2, 0, 1) / 255
    weights, biases = (
        stored.model.get_parameter(f"head.{name}").detach().double().numpy() for name in ("weight", "bias")
    )
    views = np.array([pixels[:, :, ::flip].reshape(-1) for flip in flips])
    mean: NDArray[Any] = softmax(views @ weights.T + biases).mean(axis=0)
    return mean


def read(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


def test_a_prediction_has_the_softmax_of_the_network_and_names_as_many_classes_as_asked(
    run: Path, insects: Path
) -> None:
    stored = spdbuild.load_model(run)
    files = sorted((insects / "train").rglob("*.png"))
    for top in (1, 2, 3):
        for file, seen in zip(files, spdbuild.predict(stored, files, top=top), strict=True):
            expected = by_hand(stored, file)
            assert seen.probabilities is not None
            assert seen.probabilities.dtype == np.float32
            assert seen.classes == CLASSES
            np.testing.assert_allclose(seen.probabilities, expected, rtol=1e-5)
            best = np.argsort(-expected)[:top].tolist()
            assert [thing["index"] for thing in seen.found] == best
            assert [thing["class"] for thing in seen.found] == [CLASSES[i] for i in best]
            assert [thing["score"] for thing in seen.found] == seen.probabilities[best].tolist()


@pytest.mark.parametrize("top", [0, 4])
def test_more_classes_than_there_are_cannot_be_named(run: Path, insects: Path, top: int) -> None:
    with pytest.raises(ArgumentError, match=rf"top is {top}, and .*best\.safetensors has 3 classes") as caught:
        next(spdbuild.predict(run, insects / "train", top=top))
    assert caught.value.problems[0].hint == "give a number from 1 to 3"


def test_the_rows_of_thousands_of_classes_add_to_one() -> None:
    logits = 8 * torch.randn(3, 20_000, generator=torch.Generator().manual_seed(0))
    values = probabilities_of(logits, 20_000)
    np.testing.assert_allclose(values, softmax(logits.double().numpy()), rtol=1e-6)
    assert abs(values.sum(axis=1, dtype=np.float64) - 1).max() < 1e-6


def test_a_table_of_probabilities_has_every_class_and_reads_as_the_same_numbers(
    run: Path, insects: Path, tmp_path: Path
) -> None:
    seen = list(spdbuild.predict(run, insects / "test"))
    assert [bool(entry.problem) for entry in seen].count(True) == 1
    with Outputs(tmp_path / "seen", ("probabilities",)) as outputs:
        for entry in seen:
            outputs.add(entry)
    first, *rows = read(tmp_path / "seen" / "probabilities.csv")
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["probabilities.csv"]
    good = [entry for entry in seen if not entry.problem]
    assert first == ["file", *CLASSES]
    assert [row[0] for row in rows] == [str(entry.file) for entry in good]
    values = np.array([row[1:] for row in rows], np.float64)
    assert (values.astype(np.float32) == np.array([entry.probabilities for entry in good])).all()
    assert abs(values.sum(axis=1) - 1).max() < 1e-6


def test_a_detector_gives_no_probabilities(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match="a detector gives no probabilities of classes"):
        Outputs(tmp_path, ("probabilities",)).add(Prediction(Path("a.png"), (), pixels=pixels))
    recipe = {"architecture": "yolov5", "variant": "n", "data": {"name": "tiny_objects"}, "title": "boxes"}
    with pytest.raises(ArgumentError, match="probabilities are given by classifiers, and the task is detection"):
        spdbuild.evaluate(recipe_file(tmp_path, recipe), weights={}, probabilities=True)


def recipe_file(folder: Path, recipe: dict[str, Any]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


@pytest.mark.parametrize(("changes", "flips"), [([], (1,)), (["task.tta.horizontal_flip=true"], (1, -1))])
def test_an_evaluation_has_the_probabilities_of_every_image(
    run: Path, tmp_path: Path, changes: list[str], flips: tuple[int, ...]
) -> None:
    report = spdbuild.evaluate(run, changes, speed=False, output=tmp_path, probabilities=True)
    evaluation, found = report.evaluation, report.evaluation.probabilities
    assert found is not None
    assert evaluation.counts == {"skipped": 1}
    # Of seven images one is damaged, and the last batch of four has two.
    assert (found.values.shape, found.classes, found.images) == ((6, 3), CLASSES, evaluation.images)
    expected = np.array([by_hand(report.stored, file, flips) for file in found.images])
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)
    loss = -np.log(expected[np.arange(6), found.labels]).mean()
    assert evaluation.scalars["loss"] == pytest.approx(loss, rel=1e-5)
    first, *rows = read(tmp_path / "probabilities.csv")
    assert first == ["file", "class", *CLASSES]
    assert [row[0] for row in rows] == list(evaluation.images)
    assert all(Path(row[0]).parent.name == row[1] for row in rows)
    values = np.array([row[2:] for row in rows], np.float64)
    assert abs(values.sum(axis=1) - 1).max() < 1e-6
    assert (values.astype(np.float32) == found.values).all()


def test_images_of_some_of_the_classes_have_the_probabilities_of_all(run: Path, insects: Path, tmp_path: Path) -> None:
    shutil.copytree(insects / "train", tmp_path / "some" / "test")
    shutil.rmtree(tmp_path / "some" / "test" / CLASSES[1])
    report = spdbuild.evaluate(
        run, [f"data.root={tmp_path / 'some'}"], speed=False, output=tmp_path, probabilities=True
    )
    found = report.evaluation.probabilities
    assert found is not None
    assert (found.classes, found.labels.tolist()) == (CLASSES, [0, 2])
    np.testing.assert_allclose(found.values, [by_hand(report.stored, file) for file in found.images], rtol=1e-5)
    assert sorted(row[1] for row in read(tmp_path / "probabilities.csv")[1:]) == ["bee", "wasp"]


def test_probabilities_are_only_kept_when_they_are_asked_for(run: Path, tmp_path: Path) -> None:
    assert spdbuild.evaluate(run, speed=False, output=tmp_path).evaluation.probabilities is None
    assert not (tmp_path / "probabilities.csv").exists()


def test_an_output_without_a_class_has_no_column_and_keeps_its_share(insects: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, insects, vars={"classes": 5})
    folder = Path(spdbuild.train(recipe, runs=tmp_path / "runs", quiet=True).folder)
    report = spdbuild.evaluate(folder, speed=False, probabilities=True)
    found = report.evaluation.probabilities
    assert found is not None
    expected = np.array([by_hand(report.stored, file) for file in found.images])
    assert expected.shape == (6, 5)
    np.testing.assert_allclose(found.values, expected[:, :3], rtol=1e-5)


def test_what_several_processes_saw_is_put_together_in_the_order_of_the_images() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(23, 4, generator=generator), torch.randint(3, (23,), generator=generator)
    images = ArrayImages(torch.zeros(23, 3, 2, 2, dtype=torch.uint8), labels, ("a", "b", "c"))
    recipe = SimpleNamespace(batch=99, test_batch=5)
    # The last batch has 3 images, so the last of 4 processes has none of it.
    for world in (1, 4):
        meters = [
            TASKS["classification"]().probabilities_meter(recipe, nn.Identity(), images, CPU) for _ in range(world)
        ]
        for rank, meter in enumerate(meters):
            for start in range(0, 23, 5):
                rows = torch.arange(23)[start : start + 5][rank::world]
                if len(rows):
                    meter.update(logits[rows], labels[rows])
        meters[0].merge([meter.state() for meter in meters])
        evaluation: Any = meters[0].evaluation()
        np.testing.assert_allclose(evaluation.probabilities.values, softmax(logits.numpy())[:, :3], rtol=1e-5)
        assert evaluation.probabilities.labels.tolist() == labels.tolist()
        assert evaluation.by_image.predicted.tolist() == logits.argmax(dim=1).tolist()


def test_other_processes_get_an_evaluation_without_probabilities() -> None:
    images = ArrayImages(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
    meter = TASKS["classification"]().probabilities_meter(
        SimpleNamespace(batch=2, test_batch=2), nn.Identity(), images, CPU
    )
    told = []

    class First(Processes):
        def from_first(self, value: Any) -> Any:
            told.append(value)
            return value

    class Batches:
        def set_epoch(self, epoch: int, start_batch: int = 0) -> None: ...

        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any:
            yield torch.eye(2), images.labels

    evaluation = evaluate_model(nn.Identity(), Batches(), meter, "fp32", CPU, First())
    assert evaluation.probabilities is not None
    assert told[0].probabilities is None


def test_probabilities_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ArrayImages(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
    recipe = SimpleNamespace(batch=2, test_batch=2)
    for free in (16, 15):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        if free == 16:
            TASKS["classification"]().probabilities_meter(recipe, nn.Identity(), images, CPU)
        else:
            with pytest.raises(DataError, match="the probabilities of 2 images for 2 classes need"):
                TASKS["classification"]().probabilities_meter(recipe, nn.Identity(), images, CPU)


@pytest.mark.slow
def test_two_processes_write_the_table_of_one(
    run: Path, tmp_path: Path, run_processes: Callable[[int, str], list[str]]
) -> None:
    changes = ["task.tta.horizontal_flip=true", "test_batch=5"]
    spdbuild.evaluate(run, changes, speed=False, output=tmp_path / "one", probabilities=True)
    code = EVALUATE.format(run=str(run), changes=changes, output=str(tmp_path / "two"))
    assert run_processes(2, code) == ["False\n", "True\n"]
    one, two = (read(tmp_path / name / "probabilities.csv") for name in ("one", "two"))
    assert [row[:2] for row in two] == [row[:2] for row in one]
    np.testing.assert_allclose(
        np.array([r[2:] for r in two[1:]], float), np.array([r[2:] for r in one[1:]], float), rtol=1e-5
    )


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli, list(map(str, words)), prog_name="spdbuild")


def test_a_file_that_is_given_twice_is_predicted_once_and_told(command: Any, run: Path, insects: Path) -> None:
    folder = insects / "train"
    twice = folder / "wasp" / "0.png"
    done = command("predict", run, folder, twice, "-o", "seen", "--save", "probabilities", "--save", "csv", "--top", 2)
    assert done.exit_code == 0, done.output
    # Before, a warning said that the files of three classes, all called 0.png, had other names in the folder.
    assert done.stderr == f"given more than once, and predicted once: {twice}\n"
    assert len(done.stdout.splitlines()) == 3
    files = [str(file) for file in sorted(folder.rglob("*.png"))]
    assert [row[0] for row in read(Path("seen/probabilities.csv"))[1:]] == files
    assert [row[0] for row in read(Path("seen/predictions.csv"))[1:]] == [file for file in files for _ in range(2)]
    assert sorted(path.name for path in Path("seen").iterdir()) == ["predictions.csv", "probabilities.csv"]


def test_the_probabilities_of_an_evaluation_are_written_on_request(command: Any, run: Path) -> None:
    done = command("eval", run, "--no-speed", "-o", "seen", "--probabilities")
    assert done.exit_code == 0, done.output
    assert len(read(Path("seen/probabilities.csv"))) == 7
    done = command("eval", run, "--probabilities")
    assert done.exit_code == 2
    assert "--probabilities needs -o FOLDER to write into" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "{}", "a.png", "--top", "3"), "--top is"),
        (("predict", "{}", "a.png", "-o", "seen", "--save", "probabilities"), "--save probabilities is"),
        (
            ("predict", "{}", "a.png", "--top=3", "-o", "o", "--save=probabilities"),
            "--top and --save probabilities are",
        ),
        (("eval", "{}", "-o", "seen", "--probabilities"), "--probabilities is"),
    ],
)
def test_the_options_of_a_classifier_are_refused_for_a_detector(
    command: Any, words: tuple[str, ...], told: str
) -> None:
    done = command(*(word.format("tiny_objects") for word in words))
    assert done.exit_code == 2
    option = told.rpartition(" ")[0]
    assert done.stderr == (
        f"error: {told} for classifiers, and the task of tiny_objects is detection\n      = hint: leave out {option}\n"
    )


def test_the_recipe_of_the_documentation_averages_runs_and_writes_a_submission(
    command: Any, run: Path, insects: Path, tmp_path: Path
) -> None:
    other = Path(spdbuild.train(recipe_of(tmp_path, insects, seed=5), runs=tmp_path, quiet=True).folder)
    files = sorted((insects / "train").rglob("*.png"))
    for name, folder, given in (("a", run, files), ("b", other, files[::-1])):
        done = command("predict", folder, *given, "-o", f"seen/{name}", "--save", "probabilities")
        assert done.exit_code == 0, done.output
    (lines,) = re.findall(r"averaged, and .*?, by\n\n(.*?)\n\nafter", OUTPUTS.read_text(), re.DOTALL)
    code = [line.removeprefix("    ") for line in lines.splitlines()]
    assert len([line for line in code if line and not re.match("import|from", line)]) == 5
    exec("\n".join(code), {})
    models = [spdbuild.load_model(folder) for folder in (run, other)]
    means = [np.mean([by_hand(model, file) for model in models], axis=0) for file in files]
    expected = [[str(file), CLASSES[mean.argmax()]] for file, mean in zip(files, means, strict=True)]
    submission = read(Path("submission.csv"))
    assert submission[0] == ["file", "class"]
    assert sorted(submission[1:]) == expected
