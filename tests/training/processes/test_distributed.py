"""Several processes are one run: the same losses, the same weights, every test image once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spdbuild.errors import RecipeError
from spdbuild.training.processes import distributed
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.running.run import train

Rows = Callable[[Path], list[dict[str, Any]]]
TRAIN = "from spdbuild.training.running.run import train; train({recipe!r}, {options!r}, runs={runs!r}, quiet=True)"

PRINT = """
from spdbuild.cli import spdbuild

spdbuild(["train", {recipe!r}, "max_steps=1", "--runs", {runs!r}, "--quiet", "--json"], standalone_mode=False)
spdbuild(["eval", {runs!r} + "/small", "--json"], standalone_mode=False)
"""

#: Two runs; the first attempt dies in the second one, with one epoch saved.
RESTARTED = """
import os
from spdbuild.training.running import loop, run

attempt, evaluate = os.environ["TORCHELASTIC_RESTART_COUNT"], loop.Loop.evaluate
print("attempt", attempt, "begins")

def dying(self):
    if attempt == "0" and self.session.recipe.seed == 1 and self.session.position.epoch == 1:
        os._exit(1)
    return evaluate(self)

loop.Loop.evaluate = dying
for seed in (0, 1):
    run.train({recipe!r}, [f"seed={{seed}}", "epochs=2"], runs={runs!r}, quiet=True)
"""

#: A program that has connected the processes itself.
OWN_GROUP = """
import torch
from torch import distributed
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.running.run import train

distributed.init_process_group()
group = distributed.group.WORLD
folder = train({recipe!r}, ["max_steps=2"], runs={runs!r}, quiet=True).folder
top1 = evaluate(folder, speed=False).evaluation.metrics["top1"]
assert distributed.group.WORLD is group
distributed.all_reduce(counted := torch.ones(1))
print(top1, int(counted))
distributed.destroy_process_group()
"""

#: No dropout, whose numbers each process draws for itself, and batches that two processes cannot halve evenly.
OPTIONS = ["epochs=2", "batch=125", "optimizer.lr=0.05"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "extra",
    [[], ["accumulate=5"], ["sampling=balanced", "optimizer.scales={head: 2}"]],
    ids=["a batch a step", "five batches a step", "images sampled and rates scaled"],
)
def test_two_processes_train_as_one_with_the_whole_batch(
    recipe: Path, tmp_path: Path, rows: Rows, run_processes: Callable[[int, str], list[str]], extra: list[str]
) -> None:
    options = [*OPTIONS, *extra]
    architecture = tmp_path / "tiny.yaml"
    architecture.write_text(architecture.read_text().replace("  - dropout(0.1)\n", ""))
    single = train(recipe, options, runs=tmp_path / "one", quiet=True).folder
    run_processes(2, TRAIN.format(recipe=str(recipe), options=options, runs=str(tmp_path / "two")))
    double = tmp_path / "two" / "small"
    for one, two in zip(rows(single), rows(double), strict=True):
        assert two["train/loss"] == pytest.approx(one["train/loss"], rel=1e-4)
        assert two["test/loss"] == pytest.approx(one["test/loss"], rel=1e-3)
        # 360 test images: one more or less would show.
        assert two["test/top1"] * 360 == pytest.approx(round(two["test/top1"] * 360), abs=1e-9)
    weights, expected = (load_file(folder / "weights" / "last.safetensors") for folder in (double, single))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_only_the_first_process_prints_results(
    recipe: Path, tmp_path: Path, run_processes: Callable[[int, str], list[str]]
) -> None:
    printed = run_processes(2, PRINT.format(recipe=str(recipe), runs=str(tmp_path)))
    assert printed[1] == ""
    trained, end = json.JSONDecoder().raw_decode(printed[0])
    evaluated = json.loads(printed[0][end:])
    assert trained["folder"] == str(tmp_path / "small")
    assert evaluated["metrics"]["top1"] == pytest.approx(trained["metrics"]["top1"])
    assert evaluated["speed"]["images_per_second"] > 0


@pytest.fixture
def own_group() -> Iterator[None]:
    """This process is the only one of a process group."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("launched", [True, False])
def test_the_process_group_of_a_program_stays(monkeypatch: pytest.MonkeyPatch, own_group: None, launched: bool) -> None:
    monkeypatch.setattr(distributed.distributed, "is_torchelastic_launched", lambda: launched)
    group = torch.distributed.group.WORLD
    with distributed.joined(torch.device("cpu")) as processes:
        assert (processes.rank, processes.world) == (0, 1)
        assert processes.once(lambda: "told") == "told"
    assert torch.distributed.group.WORLD is group


def test_a_process_group_of_other_processes_is_refused(monkeypatch: pytest.MonkeyPatch, own_group: None) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    message = "the process group of the program has this as process 0 of 1, and RANK=1 WORLD_SIZE=2 are set"
    with pytest.raises(RecipeError, match=message), distributed.joined(torch.device("cpu")):
        pass
    assert torch.distributed.is_initialized()


def test_a_process_group_that_moves_no_tensors_of_the_cpu_is_refused(
    monkeypatch: pytest.MonkeyPatch, own_group: None
) -> None:
    monkeypatch.setattr(distributed.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.distributed.distributed_c10d, "get_backend_config", lambda: "cuda:nccl")
    message = r"the process group of the program \(cuda:nccl\) moves no tensors of cpu"
    with pytest.raises(RecipeError, match=message), distributed.joined(torch.device("cuda:0")):
        pass
    assert torch.distributed.is_initialized()


@pytest.mark.slow
def test_processes_that_a_program_has_connected_train_together(
    recipe: Path, tmp_path: Path, run_processes: Callable[[int, str], list[str]]
) -> None:
    printed = run_processes(2, OWN_GROUP.format(recipe=str(recipe), runs=str(tmp_path / "runs")))
    assert printed[0] == printed[1]
    assert printed[0].endswith(" 2\n")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["small"]


def test_a_job_that_is_started_anew_is_told_what_it_was_told_before() -> None:
    store = torch.distributed.HashStore()
    assert Processes(store=store).once(lambda: "runs/small") == "runs/small"
    assert Processes(store=store).once(lambda: "runs/small-2") == "runs/small"
    assert Processes().once(lambda: "runs/small-2") == "runs/small-2"


@pytest.mark.slow
def test_a_job_that_torchrun_starts_anew_goes_on_in_its_own_folders(
    recipe: Path, tmp_path: Path, rows: Rows, torchrun: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    runs = tmp_path / "runs"
    # Runs that are not of the job: one with its title, and one whose title begins so.
    other = train(recipe, ["max_steps=1"], runs=runs, quiet=True).folder
    before = (other / "state" / "state.pt").read_bytes()
    (runs / "small-18").mkdir()
    done = torchrun(2, RESTARTED.format(recipe=str(recipe), runs=str(runs)), restarts=1)
    assert done.returncode == 0, done.stderr
    assert "attempt 1 begins" in done.stdout
    assert sorted(path.name for path in runs.iterdir()) == ["small", "small-18", "small-2", "small-3"]
    assert (other / "state" / "state.pt").read_bytes() == before
    for name in ("small-2", "small-3"):
        assert [row["epoch"] for row in rows(runs / name)] == [1, 2]
