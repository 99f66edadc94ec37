"""Reading the folder of a run, and what keeps one from being reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spdbuild.errors import SpdbuildError
from spdbuild.reporting.run import read_run

MakeRun = Callable[..., Path]

#: A run whose loss was not finite would fail in the same way once more.
OR_ANEW = ", or after a loss that was not finite start anew with a lower optimizer.lr"


@pytest.fixture
def folder(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_run("runs/a", "seed=3", metrics={"top1": 0.5, "loss": 2.0})


def problem(folder: Path) -> str:
    with pytest.raises(SpdbuildError) as caught:
        read_run(folder)
    return str(caught.value)


def test_a_run_is_read_as_it_was_written(folder: Path) -> None:
    run = read_run(folder)
    assert (run.name, run.seed, run.summary.metrics) == ("a", 3, {"top1": 0.5, "loss": 2.0})
    assert run.images_per_second == 150.0
    assert run.command == "spdbuild train made_up.yaml seed=3"
    assert run.commit == "0123456789"
    assert run.machine == "cpu, EPYC, 2 of 4 threads, torch 2.11.0"


def test_gpus_and_processes_are_of_the_machine(make_run: MakeRun, folder: Path) -> None:
    other = make_run("runs/b", metrics={}, gpus=["H100", "H100"], processes=2, spdbuild_commit=None)
    facts = json.loads((other / "report/summary.json").read_text())
    (other / "report/summary.json").write_text(json.dumps({**facts, "device": "cuda:0"}))
    run = read_run(other)
    assert run.machine == "cuda:0, H100, 2 of 4 threads, 2 processes, torch 2.11.0"
    assert run.commit == "spdbuild 0.1.0"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("cifar_seed3", "cifar"),
        ("cifar-s3", "cifar"),
        ("cifarseed=3", "cifar"),
        ("cifar3", "cifar3"),
        ("seed3", "seed3"),
    ],
)
def test_the_name_is_the_title_without_the_seed(make_run: MakeRun, folder: Path, title: str, name: str) -> None:
    assert read_run(make_run("runs/b", "seed=3", f"title={title}", metrics={})).name == name


def test_the_name_of_a_twin_has_that_of_the_run_before_it(make_run: MakeRun, folder: Path) -> None:
    assert read_run(make_run(folder / "strided", "seed=3", metrics={})).name == "a/strided"


def test_a_folder_may_be_the_current_one(make_run: MakeRun, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(folder / "strided", "seed=3", metrics={})
    monkeypatch.chdir(folder)
    assert read_run(Path()).name == "a"
    monkeypatch.chdir("strided")
    assert read_run(Path()).name == "a/strided"


def test_a_metric_that_is_no_number_was_not_measured(make_run: MakeRun, folder: Path) -> None:
    assert read_run(make_run("runs/b", metrics={"loss": float("nan")})).summary.metrics == {"loss": None}


@pytest.mark.parametrize("best", ["-Infinity", "null"], ids=["before", "now"])
def test_a_best_that_never_was_a_number(folder: Path, best: str) -> None:
    file = folder / "report/summary.json"
    file.write_text(file.read_text().replace('"best": 0.99', f'"best": {best}'))
    assert read_run(folder).summary.best is None


@pytest.mark.parametrize("loss", ["NaN", "null"], ids=["before", "now"])
def test_a_loss_that_was_no_number(folder: Path, loss: str) -> None:
    first, *others = (folder / "metrics.jsonl").read_text().splitlines()
    row = json.dumps({**json.loads(first), "train/loss": 0.125}).replace("0.125", loss)
    (folder / "metrics.jsonl").write_text("\n".join([row, *others]))
    assert read_run(folder).rows[0]["train/loss"] is None


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("recipe.yaml", "a: [", "runs/a/recipe.yaml:1:4: error: this is not YAML: this [ is never closed"),
        ("recipe.yaml", "- a\n", "error: recipe.yaml is no mapping of keys"),
        ("recipe.yaml", "seed: 1\n", "error: recipe.yaml has no 'epochs' as `spdbuild train` writes it"),
        (
            "report/summary.json",
            '{"title": "a',
            "error: report/summary.json is damaged in line 1, column 11: Unterminated string starting at",
        ),
        ("report/summary.json", "[]", "error: report/summary.json is damaged: it is no mapping of keys"),
        ("report/summary.json", '{"title": "a"}', "error: report/summary.json is damaged: it has no 'architecture'"),
        ("environment.json", "{}", "error: environment.json is damaged: it has no 'versions'"),
        ("environment.json", "[" * 100_000, "error: environment.json is damaged: it is no JSON that a run writes"),
        (
            "environment.json",
            '{"versions": {"torch": "2"}, "command": ["a"], "data": {"trained_on": {"images": 3}}}',
            "error: environment.json is damaged: 'data' does not say which images there are",
        ),
        (
            "environment.json",
            '{"versions": {"torch": "2"}, "command": ["a"], "gpus": 3}',
            "error: environment.json is damaged: 'gpus' is no list of names",
        ),
        (
            "environment.json",
            '{"versions": {"torch": "2"}, "command": ["a"], "gpus": [["H100"]]}',
            "error: environment.json is damaged: 'gpus' is no list of names",
        ),
        (
            "environment.json",
            '{"versions": {"torch": "2"}, "command": ["a"], "resumed": [{"command": 3}]}',
            "error: environment.json is damaged: 'resumed' is no list of commands",
        ),
        (
            "metrics.jsonl",
            '{"epoch": 1}\n{"epoch"',
            "error: line 1 of metrics.jsonl is damaged: it has no 'step'",
        ),
        ("metrics.jsonl", '{"epoch": "1"}\n', "error: line 1 of metrics.jsonl is damaged: 'epoch' is no number"),
    ],
)
def test_damage_is_told_with_its_file(folder: Path, file: str, text: str, message: str) -> None:
    (folder / file).write_text(text)
    assert problem(folder).startswith(message)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("macs", "many", '"many"'),
        ("seconds", True, "true"),
        ("seconds", float("inf"), "Infinity"),
        ("input", [3, 8.5], "[3, 8.5]"),
        ("metrics", [], "[]"),
    ],
)
def test_a_summary_with_values_of_another_kind(folder: Path, key: str, value: object, told: str) -> None:
    file = folder / "report/summary.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    assert problem(folder) == f"error: report/summary.json is damaged: '{key}' is {told}"


@pytest.mark.parametrize("name", ["environment.json", "architecture.yaml"])
def test_a_file_that_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert problem(folder) == f"error: it has no {name}"


def test_text_that_is_none(folder: Path) -> None:
    (folder / "environment.json").write_bytes(b"\xff")
    assert problem(folder) == "error: environment.json is damaged: it is no text in UTF-8"


def test_a_run_on_its_way(folder: Path) -> None:
    (folder / "report/summary.json").unlink()
    (folder / "recipe.yaml").write_text((folder / "recipe.yaml").read_text().replace("epochs: 2", "epochs: 3"))
    going_on = f"go on with `spdbuild train --resume runs/a`{OR_ANEW}"
    assert problem(folder) == f"error: it stands at epoch 2 of 3; {going_on}"
    (folder / "metrics.jsonl").unlink()
    assert problem(folder) == f"error: it has not come to the end of its first epoch; {going_on}"


def test_a_run_at_its_end_without_a_report(folder: Path) -> None:
    (folder / "report/summary.json").unlink()
    assert problem(folder) == (
        "error: it has come to its end, but has no report/summary.json: it was cut off while it wrote "
        "its report: `spdbuild train --resume runs/a` writes it anew"
    )


def test_a_twin_on_its_way_goes_on_with_the_run_around_it(make_run: MakeRun, folder: Path) -> None:
    twin = make_run(folder / "strided", metrics={})
    (twin / "report/summary.json").unlink()
    assert "`spdbuild train --resume runs/a`" in problem(twin)
    (twin / "metrics.jsonl").unlink()
    assert problem(twin).endswith(f"go on with `spdbuild train --resume runs/a`{OR_ANEW}")


def test_a_run_that_was_resumed_for_longer_has_an_old_report(folder: Path) -> None:
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("epochs: 2", "epochs: 4"))
    assert problem(folder) == (
        "error: its report is of step 20, and it has been resumed since and not come to its end; "
        f"go on with `spdbuild train --resume runs/a`{OR_ANEW}"
    )
