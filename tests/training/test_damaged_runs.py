"""Files in a run's folder that are not what the run has written."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spdbuild.errors import RecipeError, WeightsError
from spdbuild.training import checkpoint
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.running.run import resume, train


def hint_of(run: Path) -> str:
    return f"start a new run from the weights of this one: weights={run / 'weights' / 'last.safetensors'}"


@pytest.fixture
def begun(recipe: Path, tmp_path: Path) -> Path:
    """The folder of a run that has not come to its end."""
    return train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True).folder


def without(part: str) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.pop(part)


def put(value: Any, *keys: Any) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        *path, last = keys
        for key in path:
            state = state[key]
        state[last] = value

    return change


ROW = {"epoch": 1, "step": 1, "lr": 0.1, "seconds": 1.0, "images_per_second": 9.0}

DAMAGES = {
    "no data": without("data"),
    "no scaler": without("scaler"),
    "no model": without("model"),
    "a number as position": put(5, "position"),
    "no epoch": lambda state: state["position"].pop("epoch"),
    "a text as epoch": put("3", "position", "epoch"),
    "further words in the position": put(1, "position", "further"),
    "no splits": put({}, "data"),
    "no counts": put([], "counts"),
    "a number as counts": put([5], "counts"),
    "no generators": put([{}], "generators"),
    "a short generator": put([3, [1], None], "generators", 0, "python"),
    "a generator of floats": put(torch.zeros(3), "generators", 0, "torch"),
    "no tensors": put({"stem.weight": 5}, "model"),
    "a list as ema": put([], "ema"),
    "no model of the ema": put({}, "ema"),
    "no groups": put({"state": {}, "param_groups": 5}, "optimizer"),
    "a text as learning rate": put("0.1", "optimizer", "param_groups", 0, "lr"),
    "a text as momentum": put("0.1", "optimizer", "state", 0, "momentum_buffer"),
    "a number as row": put([5], "position", "rows"),
    "a row without its speed": put([{"epoch": 1, "step": 1, "lr": 0.1, "seconds": 1}], "position", "rows"),
    "a row with a text": put([{**ROW, "test/top1": "1"}], "position", "rows"),
}


def test_a_damaged_state_is_told_and_nothing_is_changed(begun: Path) -> None:
    path = begun / "state" / "state.pt"
    whole, recipe = path.read_bytes(), (begun / "recipe.yaml").read_text()
    for name, damage in DAMAGES.items():
        path.write_bytes(whole)
        state = torch.load(path, weights_only=True)
        damage(state)
        torch.save(state, path)
        with pytest.raises(WeightsError) as caught:
            resume(begun, ["max_steps=2"], quiet=True)
        assert caught.value.problems[0].message.startswith(f"{path}: "), name
        assert caught.value.problems[0].hint == hint_of(begun), name
    assert (begun / "recipe.yaml").read_text() == recipe
    path.write_bytes(whole)
    resume(begun, ["max_steps=2"], quiet=True)


@pytest.mark.parametrize("part", ["a tensor", "a name"])
def test_a_state_with_other_bytes_than_were_written_is_told(begun: Path, part: str) -> None:
    path = begun / "state" / "state.pt"
    whole = path.read_bytes()
    weight = torch.load(path, weights_only=True)["model"]["head.weight"].numpy().tobytes()
    old, new = (weight, bytes(len(weight))) if part == "a tensor" else (b"best_epoch", b"best_epocx")
    assert old in whole
    path.write_bytes(whole.replace(old, new))
    with pytest.raises(WeightsError, match="this is no state of a run that can be read") as caught:
        resume(begun, ["max_steps=2"], quiet=True)
    assert caught.value.problems[0].hint == hint_of(begun)


def test_a_state_without_factors_of_a_scaler_leaves_those_of_a_new_one(
    begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when a run that was begun on a CPU goes on on a GPU.
    scaler = torch.amp.GradScaler("cpu", enabled=True, init_scale=8.0)
    monkeypatch.setattr("spdbuild.training.running.learner.make_scaler", lambda *_: scaler)
    resume(begun, ["max_steps=2"], quiet=True)
    assert torch.load(begun / "state" / "state.pt", weights_only=True)["scaler"]["scale"] == 8.0


COMMAND = {"command": ["spdbuild"]}
NESTED = '{"a":' * 100_000
TOLD = {**COMMAND, "versions": {}, "gpus": [], "platform": "Linux"}


@pytest.mark.parametrize(
    "content",
    [[1], COMMAND, {**TOLD, "resumed": None}, {**TOLD, "resumed": [1]}, {**TOLD, "command": 5}, {**TOLD, "gpus": 1}],
    ids=["a list", "too little", "no list", "no commands", "no command", "no gpus"],
)
def test_what_began_a_run_may_be_unreadable(begun: Path, monkeypatch: pytest.MonkeyPatch, content: object) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/spdbuild", "train", "--resume", "runs/small"])
    begin_anew(begun, json.dumps(content))


def test_what_began_a_run_may_be_nested_too_deeply(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/spdbuild", "train", "--resume", "runs/small"])
    begin_anew(begun, NESTED)


def begin_anew(begun: Path, text: str) -> None:
    """Holds if a run that goes on begins an environment file with this `text` anew."""
    (begun / "environment.json").write_text(text)
    facts = RunFolder(begun).continued(seed=1)
    assert facts["command"] == sys.argv
    assert "resumed" not in facts


@pytest.mark.parametrize(
    "text", ["{", "[1]\n", "{}\n", NESTED], ids=["no JSON", "no mapping", "no epoch", "nested too deeply"]
)
def test_damaged_metrics_are_told_and_written_anew_without_them(begun: Path, text: str) -> None:
    rows = begun / "metrics.jsonl"
    rows.write_text(text)
    with pytest.raises(RecipeError, match="does not have the metrics of a run") as caught:
        RunFolder(begun).metrics()
    assert caught.value.problems[0].hint == "remove it: the run writes it anew when it goes on"


def test_a_run_without_metrics_writes_them_anew(begun: Path) -> None:
    (begun / "metrics.jsonl").unlink()
    shutil.rmtree(begun / "report")
    resume(begun, ["max_steps=12"], quiet=True)
    assert [row["epoch"] for row in RunFolder(begun).metrics()] == [1]


def test_how_to_look_at_permissions_can_be_copied_to_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    # Who runs the tests may be allowed everything.
    monkeypatch.setattr(checkpoint, "_check_sums", closed)
    file = tmp_path / "my runs" / "state.pt"
    with pytest.raises(WeightsError, match=f"ls -l '{file}'"):
        checkpoint.load_state(file)
