"""A recipe over a grid of values."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild import sweeping
from spdbuild.cli import spdbuild
from spdbuild.errors import ArgumentError, DiskFullError, RecipeError, SpdbuildError, StoppedError
from spdbuild.reporting.report import report
from spdbuild.reporting.trials import InFold
from spdbuild.sweeping import Sweep, grid_of, sweep
from spdbuild.training.folder.folder_lock import alone_in
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.running import loop, updates
from spdbuild.training.running.run import train

SHORT = ["epochs=1", "max_steps=1", "~ema"]
GRID = {"optimizer.lr": [0.1, 0.05], "seed": [0, 1]}


def command(*arguments: Any) -> Result:
    return CliRunner().invoke(spdbuild, ["sweep", *map(str, arguments)], prog_name="spdbuild")


def weights(done: Sweep) -> list[bytes]:
    return [RunFolder(point.folder).last.read_bytes() for point in done.points]


def test_each_combination_is_a_run_and_is_trained_once(recipe: Path, tmp_path: Path) -> None:
    done = sweep(recipe, GRID, SHORT, runs=tmp_path, quiet=True)
    assert done.folder == tmp_path / "small_sweep"
    named = [f"optimizer.lr={rate},seed={seed}" for rate in (0.1, 0.05) for seed in (0, 1)]
    assert [point.folder.name for point in done.points] == named
    assert done.states == ("done",) * 4
    assert len(set(weights(done))) == 4
    alone = train(recipe, [*SHORT, "optimizer.lr=0.05", "seed=1"], runs=tmp_path, quiet=True)
    assert RunFolder(alone.folder).last.read_bytes() == weights(done)[-1]
    written = {path: path.stat().st_mtime_ns for path in done.folder.rglob("*")}
    more = sweep(recipe, GRID | {"seed": [2, 1, 0]}, SHORT, runs=tmp_path, quiet=True)
    assert more.states == ("done",) * 6
    assert {path: path.stat().st_mtime_ns for path in written if path != done.folder} == {
        path: time for path, time in written.items() if path != done.folder
    }
    (section,) = report(done.folder).sections
    assert sorted(group.seeds for group in section.groups) == [(0, 1, 2)] * 2


def test_folds_are_trained_and_reported_as_pairs(recipe: Path, tmp_path: Path) -> None:
    for number in range(8):
        file = tmp_path / "all" / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(file)
    data = f"data={{name: folder, root: {tmp_path / 'all'}, train: ., folds: 2}}"
    changes = [*SHORT, data, "batch=2", "compare={twin: {optimizer: {lr: 0.01}}}"]
    done = sweep(recipe, {"data.fold": [0, 1]}, changes, runs=tmp_path / "runs", quiet=True)
    assert [point.folder.name for point in done.points] == ["data.fold=0", "data.fold=1"]
    found = report(done.folder, quiet=True)
    (section,) = found.sections
    assert (section.title, [len(group.runs) for group in section.groups]) == ("folder in 2 folds", [2, 2])
    ((pair,),) = found.comparisons
    assert [(trial.fold, trial.seed) for trial in pair.trials if isinstance(trial, InFold)] == [(0, 0), (1, 0)]
    with pytest.raises(RecipeError, match="fold must be between 0 and 1 with folds=2, got 2"):
        sweep(recipe, {"data.fold": [0, 2]}, changes, runs=tmp_path / "runs", dry=True, quiet=True)


def test_a_sweep_goes_on_where_a_signal_stopped_it(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["epochs=1", "compare={twin: {optimizer: {lr: 0.01}}}"]
    step, taken = updates.Updates.step, []

    def interrupted(self: updates.Updates, group: Any) -> None:
        step(self, group)
        taken.append(1)
        if len(taken) == 30:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(updates.Updates, "step", interrupted)
    with pytest.raises(StoppedError) as stopped:
        sweep(recipe, {"seed": [0, 1]}, options, runs=tmp_path, quiet=True)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    assert stopped.value.problems[0].hint == (
        "start the same sweep again: it goes on with this run, and then with the others"
    )
    planned = sweep(recipe, {"seed": [0, 1, 2]}, options, runs=tmp_path, dry=True, quiet=True)
    assert planned.states == ("done", "unfinished", "new")
    done = sweep(recipe, {"seed": [0, 1]}, options, runs=tmp_path, quiet=True)
    assert done.states == ("done", "done")
    whole = sweep(recipe, {"seed": [1]}, options, runs=tmp_path / "whole", quiet=True)
    assert weights(done)[1:] == weights(whole)
    longer = sweep(recipe, {"seed": [0]}, ["epochs=2", *options[1:]], runs=tmp_path, dry=True, quiet=True)
    assert longer.states == ("unfinished",)


def test_a_sweep_goes_on_where_a_full_disk_ended_it(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise DiskFullError("state.pt cannot be written: No space left on device", hint="make room")

    with monkeypatch.context() as patched:
        patched.setattr(loop, "save_state", full)
        with pytest.raises(DiskFullError) as caught:
            sweep(recipe, {"seed": [0, 1]}, SHORT, runs=tmp_path, quiet=True)
    assert caught.value.problems[0].message == "state.pt cannot be written: No space left on device"
    assert caught.value.problems[0].hint == (
        "make room, and start the same sweep again: it goes on with this run, and then with the others"
    )
    assert sweep(recipe, {"seed": [0, 1]}, SHORT, runs=tmp_path, quiet=True).states == ("done", "done")


def test_a_run_that_fails_keeps_no_other_from_being_trained(recipe: Path, tmp_path: Path) -> None:
    shown = command(recipe, "epochs=1", "--over", "optimizer.lr=1e30,0.1", "--runs", tmp_path)
    assert shown.exit_code == 1
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0][:3] == ["run", "state", "top1"]
    assert lines[1] == ["optimizer.lr=1.0e+30", "failed"]
    assert lines[2][:2] == ["optimizer.lr=0.1", "done"]
    assert float(lines[2][2]) > 0
    assert "not finite" in shown.stderr
    assert "error: 1 of 2 runs failed" in shown.stderr


def test_the_mistakes_of_all_combinations_come_before_anything_is_written(recipe: Path, tmp_path: Path) -> None:
    over = {"optimizer.lr": [0.1, "much"], "epochs": [1, -1]}
    with pytest.raises(RecipeError) as caught:
        sweep(recipe, over, runs=tmp_path / "runs", quiet=True)
    told = [problem.message for problem in caught.value.problems]
    assert any("much" in text for text in told)
    assert any("-1" in text for text in told)
    assert len(told) == len(set(told))
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_writes_nothing(recipe: Path, tmp_path: Path) -> None:
    shown = command(recipe, *SHORT, "--over", "seed=0,1", "--runs", tmp_path / "runs", "--dry-run", "--json")
    assert [(run["overrides"], run["state"]) for run in json.loads(shown.stdout)["runs"]] == [
        (["seed=0"], "new"),
        (["seed=1"], "new"),
    ]
    assert not (tmp_path / "runs").exists()


def test_a_run_in_which_another_process_trains_is_left_to_it(recipe: Path, tmp_path: Path) -> None:
    first = tmp_path / "small_sweep" / "seed=0"
    first.mkdir(parents=True)
    with alone_in(RunFolder(first), Processes()):
        done = sweep(recipe, {"seed": [0, 1]}, SHORT, runs=tmp_path, quiet=True)
    assert done.states == ("taken", "done")


def test_a_folder_of_another_recipe_is_not_overwritten(recipe: Path, tmp_path: Path) -> None:
    sweep(recipe, {"seed": [0]}, SHORT, runs=tmp_path, quiet=True)
    with pytest.raises(RecipeError, match="seed=0 has another run: .*'batch' cannot change"):
        sweep(recipe, {"seed": [0, 1]}, [*SHORT, "batch=64"], runs=tmp_path, quiet=True)
    assert not (tmp_path / "small_sweep" / "seed=1").exists()


def test_values_with_other_signs_are_told_apart_by_a_digest(recipe: Path, tmp_path: Path) -> None:
    over = grid_of(["passes=[],[strided_to_spd()],['strided_to_spd(kernel=\"same\")']"])
    assert over == {"passes": [[], ["strided_to_spd()"], ['strided_to_spd(kernel="same")']]}
    names = [point.folder.name for point in sweep(recipe, over, runs=tmp_path, dry=True, quiet=True).points]
    assert names[0] == "passes=-4f53cd"
    assert len(set(names)) == 3
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789=_-,.") for name in names)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({}, "the grid names no key"),
        ({"seed": []}, "'seed' needs a list of values, got []"),
        ({"seed": "0,1"}, "'seed' needs a list of values, got '0,1'"),
        ({"seed": [1, 2, 1]}, "'seed' has the value 1 twice"),
        (["seed=0,1"], "a grid is a mapping of keys to lists of values, got ['seed=0,1']"),
        ({"seed": [1, object]}, "the value of 'seed', of type type, is none of YAML"),
        ({"optimizer.lr": [1, 1.0]}, "'optimizer.lr=1' and 'optimizer.lr=1.0' are the same recipe"),
        ({"seed": range(1001)}, "the grid has 1,001 combinations, and 1,000 are the most"),
    ],
)
def test_grids_that_make_no_sense_are_refused(recipe: Path, over: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        sweep(recipe, over, dry=True, quiet=True)
    assert caught.value.problems[0].message == message


def test_a_key_is_not_set_and_varied(recipe: Path) -> None:
    with pytest.raises(ArgumentError, match="'seed' is set by an override and varied by the grid"):
        sweep(recipe, {"seed": [0, 1]}, ["seed=5"], dry=True, quiet=True)


def test_values_of_numpy_and_paths_are_what_they_stand_for(recipe: Path, tmp_path: Path) -> None:
    over = {"seed": list(np.arange(2)), "optimizer.lr": [np.float32(0.5)], "architecture": [tmp_path / "tiny.yaml"]}
    done = sweep(recipe, over, runs=tmp_path / "runs", dry=True, quiet=True)
    assert [point.recipe.seed for point in done.points] == [0, 1]
    assert [point.recipe.optimizer.lr for point in done.points] == [0.5, 0.5]


def test_a_key_that_a_recipe_needs_may_be_varied(recipe: Path, tmp_path: Path) -> None:
    text = "\n".join(line for line in recipe.read_text().splitlines() if not line.startswith("architecture"))
    (tmp_path / "open.yaml").write_text(text)
    over = {"architecture": [str(tmp_path / "tiny.yaml"), "cifar_resnet20"]}
    done = sweep(tmp_path / "open.yaml", over, runs=tmp_path, dry=True, quiet=True)
    assert done.folder.name == "open_sweep"
    assert done.states == ("new", "new")


def test_a_long_name_is_cut(recipe: Path, tmp_path: Path) -> None:
    augment = [[{"name": "random_crop", "padding": number}] for number in (1, 2)]
    over = {f"compare.twin{number}": [{"augment": steps} for steps in augment] for number in range(6)}
    names = [point.folder.name for point in sweep(recipe, over, runs=tmp_path, dry=True, quiet=True).points]
    assert len(set(names)) == len(names) == 64
    assert max(len(name.encode()) for name in names) < 200


def test_a_run_of_more_epochs_or_of_another_network_is_not_taken_for_it(recipe: Path, tmp_path: Path) -> None:
    sweep(recipe, {"seed": [0]}, ["epochs=2", "max_steps=1"], runs=tmp_path, quiet=True)
    with pytest.raises(RecipeError, match="has another run: it is trained for 2 epochs, and 'epochs' is 1"):
        sweep(recipe, {"seed": [0]}, ["epochs=1", "max_steps=1"], runs=tmp_path, dry=True, quiet=True)
    network = tmp_path / "tiny.yaml"
    network.write_text(network.read_text().replace("conv2d(8, 3)", "conv2d(12, 3)"))
    with pytest.raises(RecipeError, match=r"has another run: '.*tiny.yaml' was another network then"):
        sweep(recipe, {"seed": [0]}, ["epochs=2", "max_steps=1"], runs=tmp_path, dry=True, quiet=True)


def test_a_twin_of_fewer_epochs_is_done_before_the_run(recipe: Path, tmp_path: Path) -> None:
    options = ["epochs=2", "compare={short: {epochs: 1}}"]
    assert sweep(recipe, {"seed": [0]}, options, runs=tmp_path, quiet=True).states == ("done",)


def test_a_run_that_misses_what_is_expected_stays_failed(recipe: Path, tmp_path: Path) -> None:
    options = ["epochs=1", "expect={top1: 1.0}"]
    for _ in range(2):
        done = sweep(recipe, {"seed": [0]}, options, runs=tmp_path, quiet=True)
        assert done.states == ("failed",)
        assert "the recipe expects at least 1" in str(done.errors[done.points[0]])


def test_a_run_whose_process_died_meanwhile_is_taken_over(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "small_sweep" / "seed=0"
    first.mkdir(parents=True)
    train_in, other = sweeping.train_in, alone_in(RunFolder(first), Processes())

    def dying(folder: Path, *arguments: Any, **named: Any) -> Any:
        result = train_in(folder, *arguments, **named)
        other.__exit__(None, None, None)
        return result

    other.__enter__()
    monkeypatch.setattr(sweeping, "train_in", dying)
    assert sweep(recipe, {"seed": [0, 1]}, SHORT, runs=tmp_path, quiet=True).states == ("done", "done")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["seed"], "'seed' names no values"),
        (["=1"], "'=1' names no values"),
        (["seed=0", "seed=1"], "'seed' is given twice"),
        (["seed=[0"], "command line"),
    ],
)
def test_values_on_the_command_line_are_read_as_yaml(texts: list[str], message: str) -> None:
    with pytest.raises(SpdbuildError) as caught:
        grid_of(texts)
    assert message in str(caught.value)


def test_a_job_of_several_processes_is_refused(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="a sweep is run by one process"):
        sweep(recipe, {"seed": [0]}, quiet=True)


@pytest.mark.parametrize("passes", ["[]", "['strided_to_spd()']"])
def test_a_run_for_other_classes_and_images_than_the_architecture_declares_is_the_same_run(
    recipe: Path, tmp_path: Path, passes: str
) -> None:
    network = tmp_path / "tiny.yaml"
    network.write_text(network.read_text().replace("classes: 10", "classes: 1000").replace("[3, 8, 8]", "[3, 32, 32]"))
    options = ["epochs=1", "max_steps=1", f"passes={passes}"]
    sweep(recipe, {"seed": [0]}, options, runs=tmp_path, quiet=True)
    assert sweep(recipe, {"seed": [0]}, options, runs=tmp_path, dry=True, quiet=True).states == ("done",)
