"""Which device a process takes, how processes on it meet, and algorithms that give the same bits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from spdbuild.errors import RecipeError, RunError
from spdbuild.training.device import choose_device, current, determinism
from spdbuild.training.processes import distributed
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate


class Met(Exception):
    """Ends a run where its processes are about to be connected."""


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is done with two GPUs that are not there, in order; a run ends where its processes are connected."""
    done: list[Any] = []

    def connect(backend: str, *, device_id: torch.device | None, **others: Any) -> None:
        done.append((backend, device_id, others["rank"], others["world_size"]))
        raise Met

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", done.append)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(distributed.distributed, "init_process_group", connect)
    monkeypatch.setattr(distributed, "_meet", lambda: (5, torch.distributed.HashStore()))
    return done


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is the second of two on the last of three machines."""
    for name, value in {"WORLD_SIZE": 6, "RANK": 5, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_each_process_takes_a_gpu_of_its_own_before_they_meet(
    recipe: Path, tmp_path: Path, device: str, events: list[Any], second_of_two: None
) -> None:
    with pytest.raises(Met):
        train(recipe, [f"device={device}"], runs=tmp_path, quiet=True)
    gpu = torch.device("cuda:1")
    assert events == [gpu, ("cpu:gloo,cuda:nccl", gpu, 5, 6), 0]


def test_processes_on_a_cpu_meet_by_gloo(recipe: Path, tmp_path: Path, events: list[Any], second_of_two: None) -> None:
    with pytest.raises(Met):
        train(recipe, ["device=cpu"], runs=tmp_path, quiet=True)
    assert events == [("gloo", None, 5, 6)]


def test_one_process_takes_the_gpu_that_it_is_told_or_torchs_current_one(
    events: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for own in (0, 1):
        monkeypatch.setattr(torch.cuda, "current_device", lambda own=own: own)
        assert choose_device("auto") == choose_device("cuda") == torch.device("cuda", own)
        assert choose_device("cuda:1") == torch.device("cuda:1")
    # Choosing one, as for a model that is loaded, changes nothing.
    assert events == []


def test_the_current_gpu_of_the_program_comes_back(events: list[Any]) -> None:
    with pytest.raises(ZeroDivisionError), current(torch.device("cuda:1")):
        raise ZeroDivisionError
    with current(torch.device("cpu")):
        pass
    assert events == [torch.device("cuda:1"), 0]


@pytest.mark.parametrize("before", [None, ":16:8"])
def test_the_environment_is_what_it_was_before_deterministic_algorithms(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    name = "CUBLAS_WORKSPACE_CONFIG"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)
    with determinism(True):
        assert os.environ[name] == (before or ":4096:8")
    assert os.environ.get(name) == before


def test_several_processes_do_not_share_a_gpu(events: list[Any], second_of_two: None) -> None:
    with pytest.raises(RecipeError, match="2 processes cannot share the GPU 'cuda:0'"):
        choose_device("cuda:0")


def test_more_processes_than_gpus_are_refused(
    monkeypatch: pytest.MonkeyPatch, events: list[Any], second_of_two: None
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RecipeError, match="there is no GPU number 1; this machine has 1") as caught:
        choose_device("auto")
    assert caught.value.problems[0].hint == "start at most 1 processes on this machine"


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(RecipeError, match="there is no device 'tpu9'"):
        choose_device("tpu9")


def test_a_numbered_processor_is_refused() -> None:
    assert choose_device("cpu:0").type == "cpu"
    with pytest.raises(RecipeError, match="there is no device 'cpu:3': all processors are one"):
        choose_device("cpu:3")


def test_ctrl_c_before_the_first_step_leaves_no_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spdbuild.training.running.run.make_session", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, runs=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_wrong_device_leaves_no_folder(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text() + "device: tpu9\n")
    with pytest.raises(RecipeError) as caught:
        train(recipe, runs=tmp_path / "runs", quiet=True)
    location = caught.value.problems[0].location
    assert location is not None
    assert location.text == "device: tpu9"
    assert not (tmp_path / "runs").exists()


def test_an_op_that_cannot_give_the_same_bits_is_named() -> None:
    before = torch.get_deterministic_debug_mode()
    with (
        pytest.raises(RunError, match="put_ has no algorithm that gives the same bits each time"),
        determinism(True),
    ):
        torch.zeros(4).put_(torch.tensor([0, 0]), torch.ones(2))
    assert torch.get_deterministic_debug_mode() == before


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shape"), determinism(True):
        torch.zeros(4).view(3)


def test_a_deterministic_run_uses_only_algorithms_that_give_the_same_bits(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spdbuild.training.running.loop import Loop

    seen = []
    evaluate_loop = Loop.evaluate

    def seeing(self: Loop) -> dict[str, float]:
        seen.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark))
        return evaluate_loop(self)

    monkeypatch.setattr(Loop, "evaluate", seeing)
    train(recipe, ["deterministic=true", "max_steps=1"], runs=tmp_path, quiet=True)
    train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True)
    assert seen == [(True, False), (False, True)]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_is_resumed_and_evaluated_on_the_gpu_of_its_process(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    done = train(recipe, ["max_steps=1", "device=cpu"], runs=tmp_path, quiet=True).folder
    events = request.getfixturevalue("events")
    request.getfixturevalue("second_of_two")
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *args, **named: self)
    gpu = torch.device("cuda:1")
    for start in (lambda: resume(done, ["device=cuda"], quiet=True), lambda: evaluate(done, ["device=cuda"])):
        events.clear()
        with pytest.raises(Met):
            start()
        assert events == [gpu, ("cpu:gloo,cuda:nccl", gpu, 5, 6), 0]
