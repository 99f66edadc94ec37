"""What ends a run before its last epoch, and what it leaves."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from torch import nn

from spdbuild.errors import RecipeError, RunError, SpdbuildError, StoppedError, WeightsError
from spdbuild.training import checkpoint
from spdbuild.training.checkpoint import load_state
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.running import loop, run, updates
from spdbuild.training.running.nan_guard import NanGuard, can_skip, first_bad_layer
from spdbuild.training.running.run import resume, train
from spdbuild.training.running.saving import restore_best
from spdbuild.training.task import Batches
from spdbuild.weights.opening import open_weights

Rows = Callable[[Path], list[dict[str, Any]]]
Same = Callable[[Path, Path], None]


@pytest.mark.parametrize(("precision", "hint"), [("fp32", "or set clip"), ("bf16", "set clip, or set precision=fp32")])
def test_a_loss_that_is_not_finite_names_the_step_and_the_layer(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, hint: str
) -> None:
    step = updates.Updates.step

    def poisoned(self: updates.Updates, group: Any) -> None:
        if self.session.position.step == 14:
            nn.init.constant_(self.session.learner.model.get_parameter("down.weight"), float("inf"))
        step(self, group)

    monkeypatch.setattr(updates.Updates, "step", poisoned)
    with pytest.raises(RunError) as caught:
        train(recipe, [f"precision={precision}"], runs=tmp_path, quiet=True)
    folder = tmp_path / "small"
    assert str(caught.value) == (
        "error: the loss of step 15 is not finite: the first layer with a result that is not finite is 'down'; "
        f"the state of the last good checkpoint is in {folder / 'state' / 'state.pt'}\n"
        f"      = hint: lower optimizer.lr, {hint}"
    )
    state = load_state(folder / "state" / "state.pt")
    assert state.position["step"] == 12
    assert all(torch.isfinite(tensor).all() for tensor in state.model.values())


def test_an_evaluation_that_is_not_finite_while_training_asks_for_a_lower_rate(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = loop.Loop.evaluate

    def poisoned(self: loop.Loop) -> dict[str, float]:
        nn.init.constant_(self.session.learner.evaluated.get_parameter("down.weight"), float("nan"))
        return evaluate(self)

    monkeypatch.setattr(loop.Loop, "evaluate", poisoned)
    with pytest.raises(RunError, match="the loss of the evaluation is not finite") as caught:
        train(recipe, ["epochs=1"], runs=tmp_path, quiet=True)
    assert caught.value.problems[0].hint == "lower optimizer.lr, or set clip"


def test_a_gradient_that_is_not_finite_reaches_no_weights(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accumulate = updates.Updates._accumulate

    def poisoned(self: updates.Updates, *arguments: Any, **options: Any) -> None:
        accumulate(self, *arguments, **options)
        # The last step of an epoch: what it does would be saved.
        if self.session.position.step == 23:
            self.session.learner.model.get_parameter("down.weight").grad[0] = float("inf")  # type: ignore[index]

    monkeypatch.setattr(updates.Updates, "_accumulate", poisoned)
    with pytest.raises(
        RunError, match="step 24 or its gradient is not finite, though what every layer gives is; the s"
    ):
        train(recipe, runs=tmp_path, quiet=True)
    state = load_state(tmp_path / "small" / "state" / "state.pt")
    assert state.position["step"] == 12
    assert all(torch.isfinite(tensor).all() for tensor in state.model.values())


def test_an_optimizer_that_can_skip_keeps_the_weights_until_somebody_looks() -> None:
    # What happens on a GPU, whose losses are not waited for, with the same fused optimizer on the CPU.
    layer = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD([{"params": layer.parameters(), "role": "weight"}], lr=0.1, fused=True)
    guard = NanGuard(optimizer, torch.device("cpu"), interval=4)
    seen = []
    for step, value in enumerate([1.0, float("nan"), 1.0, 1.0], start=1):
        loss = (layer(torch.tensor([[value]]))).sum()
        optimizer.zero_grad()
        loss.backward()
        guard.note(loss)
        seen.append(guard.found(step, lambda flag: flag))
        optimizer.step()
        if step == 1:
            good = layer.weight.detach().clone()
    assert seen == [False, False, False, True]
    assert guard.first_step == 2
    assert torch.equal(layer.weight, good)


@pytest.mark.parametrize(
    ("fused", "device", "scales", "expected"),
    [
        (True, "cuda", False, True),
        # A scaler keeps what it has found in the same attributes, and takes a None for a factor.
        (True, "cuda", True, False),
        (False, "cuda", False, False),
        (True, "cpu", False, False),
    ],
    ids=["fused", "scaled", "not fused", "on a CPU"],
)
def test_only_a_fused_optimizer_without_a_scaler_is_told_to_skip(
    fused: bool, device: str, scales: bool, expected: bool
) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1, fused=fused)
    assert can_skip(optimizer, torch.device(device), torch.amp.GradScaler("cpu", enabled=scales)) is expected


def test_a_scaler_steps_beside_a_guard_that_waits() -> None:
    layer = nn.Linear(1, 1)
    before = layer.weight.detach().clone()
    optimizer, scaler = torch.optim.SGD(layer.parameters(), lr=0.1, fused=True), torch.amp.GradScaler("cpu")
    guard = NanGuard(optimizer, torch.device("cpu"), interval=1)
    loss = layer(torch.ones(1, 1)).sum()
    scaler.scale(loss).backward()
    guard.note(loss)
    assert not guard.found(1, lambda flag: flag)
    scaler.step(optimizer)
    torch.testing.assert_close(layer.weight, before - 0.1)


def test_the_first_bad_layer_is_the_first_that_runs() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    nn.init.constant_(model[2].weight, float("nan"))
    assert first_bad_layer(model, lambda: model(torch.ones(1, 2))) == "2"
    nn.init.constant_(model[2].weight, 1.0)
    assert first_bad_layer(model, lambda: model(torch.ones(1, 2))) is None


def test_max_steps_ends_with_an_evaluation(recipe: Path, tmp_path: Path) -> None:
    result = train(recipe, ["max_steps=5"], runs=tmp_path, quiet=True)
    assert result.reason == "max_steps=5 is reached"
    assert 0 <= result.metrics["top1"] <= 1
    assert load_state(result.folder / "state" / "state.pt").position["step"] == 5


def test_a_run_that_is_cut_off_says_its_metrics_and_its_reason_once(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    result = train(recipe, ["max_steps=17", "task.monitor=loss"], runs=tmp_path, quiet=True)
    whole, cut = rows(result.folder)
    assert (whole["epoch"], whole["step"], cut["epoch"], cut["step"]) == (1, 12, 2, 17)
    assert {f"test/{name}": value for name, value in result.metrics.items()}.items() <= cut.items()
    assert cut.keys() == whole.keys()
    assert cut["test/loss"] < whole["test/loss"]
    assert result.best_epoch == 2
    reason, line = (result.folder / "log.txt").read_text().splitlines()[-2:]
    assert reason == "max_steps=17 is reached; the run ends at step 17"
    assert line.startswith(f"epoch 2/3  train/loss {cut['train/loss']:.4f}")
    assert (result.folder / "log.txt").read_text().count("is reached") == 1
    assert (result.folder / "report" / "top1.png").is_file()


def test_a_run_that_is_cut_off_before_its_first_step_says_its_metrics(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    result = train(recipe, ["max_minutes=1e-9"], runs=tmp_path, quiet=True)
    (row,) = rows(result.folder)
    assert (row["epoch"], row["step"], row["test/top1"]) == (0, 0, result.metrics["top1"])


def test_a_run_that_is_cut_off_between_evaluations_evaluates_its_last_epoch(
    recipe: Path, tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.Loop, "_stopped", lambda self: "enough" if self.session.position.epoch == 2 else "")
    result = train(recipe, ["evaluate_every=3"], runs=tmp_path, quiet=True)
    first, second = rows(result.folder)
    assert "test/top1" not in first
    assert (second["epoch"], second["test/top1"]) == (2, result.metrics["top1"])


def test_the_best_weights_of_a_run_that_was_cut_off_are_those_of_whole_epochs_again(
    recipe: Path, tmp_path: Path
) -> None:
    folder = RunFolder(train(recipe, ["max_steps=20", "task.monitor=loss"], runs=tmp_path, quiet=True).folder)
    assert [open_weights(path).metadata["step"] for path in (folder.best, folder.kept_best)] == ["20", "12"]
    restore_best(folder)
    assert open_weights(folder.best).metadata["step"] == "12"


def test_a_run_stopped_by_a_signal_says_so_once(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = updates.Updates.step

    def interrupted(self: updates.Updates, group: Any) -> None:
        step(self, group)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(updates.Updates, "step", interrupted)
    with pytest.raises(StoppedError, match="stopped by SIGINT after step 1; the state is saved"):
        train(recipe, runs=tmp_path)
    assert "stopped by" not in capsys.readouterr().err
    assert (tmp_path / "small" / "log.txt").read_text().count("stopped by SIGINT after step 1") == 1


def test_a_loop_over_runs_that_skips_failures_is_ended_by_ctrl_c(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, begun = updates.Updates.step, []

    def interrupted(self: updates.Updates, group: Any) -> None:
        step(self, group)
        begun.append(1)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(updates.Updates, "step", interrupted)

    def train_all() -> None:
        for seed in (0, 1):
            with suppress(SpdbuildError, Exception):
                train(recipe, {"seed": seed}, runs=tmp_path, quiet=True)

    with pytest.raises(KeyboardInterrupt) as caught:
        train_all()
    assert len(begun) == 1
    assert isinstance(caught.value, StoppedError)
    assert (caught.value.signal, caught.value.exit_code) == (signal.SIGINT, 130)
    assert caught.value.problems[0].hint == f"go on with `spdbuild train --resume {tmp_path / 'small'}`"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_while_the_data_are_opened_leaves_nothing(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setattr(run, "make_session", lambda *_, **__: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        train(recipe, runs=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()
    assert signal.getsignal(number) == before


class Missing:
    """Batches of which one, counted from 0 over all iterations, comes only after a signal, if ever."""

    def __init__(self, batches: Batches, index: int) -> None:
        self.batches, self.left = batches, index

    def __len__(self) -> int:
        return len(self.batches)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        self.batches.set_epoch(epoch, start_batch)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            if not self.left:
                os.kill(os.getpid(), signal.SIGTERM)
                raise AssertionError("still waiting")
            self.left -= 1
            yield batch


@pytest.mark.parametrize(
    ("of", "index", "step"),
    [("train_batches", 17, 17), ("train_batches", 12, 12), ("test_batches", 0, 12)],
    ids=["within an epoch", "the first of an epoch", "of the evaluation"],
)
def test_a_signal_ends_a_run_that_waits_for_a_batch(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_run: Same, of: str, index: int, step: int
) -> None:
    make_session = run.make_session

    def made(*arguments: Any, **options: Any) -> Any:
        session = make_session(*arguments, **options)
        session.data = replace(session.data, **{of: Missing(getattr(session.data, of), index)})
        return session

    whole = train(recipe, ["epochs=2"], runs=tmp_path / "whole", quiet=True)
    monkeypatch.setattr(run, "make_session", made)
    with pytest.raises(StoppedError, match=f"stopped by SIGTERM after step {step}; the state is saved"):
        train(recipe, ["epochs=2"], runs=tmp_path, quiet=True)
    monkeypatch.setattr(run, "make_session", make_session)
    resumed = resume(tmp_path / "small", quiet=True).folder
    assert_same_run(resumed, whole.folder)
    assert all(row["images_per_second"] > 0 for row in RunFolder(resumed).metrics())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_in_the_last_evaluation_ends_the_run_before_its_twin(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    evaluate = loop.Loop.evaluate

    def interrupted(self: loop.Loop) -> dict[str, float]:
        metrics = evaluate(self)
        os.kill(os.getpid(), number)
        return metrics

    monkeypatch.setattr(loop.Loop, "evaluate", interrupted)
    with pytest.raises(StoppedError, match=f"stopped by {number.name} after step 12; the state is saved"):
        train(recipe, ["epochs=1", "compare={twin: {seed: 1}}"], runs=tmp_path, quiet=True)
    assert load_state(tmp_path / "small" / "state" / "state.pt").position["epoch"] == 1
    assert not (tmp_path / "small" / "twin").exists()
    monkeypatch.setattr(loop.Loop, "evaluate", evaluate)
    assert [twin.title for twin in resume(tmp_path / "small", quiet=True).twins] == ["twin"]


@pytest.mark.parametrize("limit", ["max_steps=5", "max_minutes=1e-9"])
def test_a_run_whose_limit_is_reached_does_not_go_beyond_it(recipe: Path, tmp_path: Path, limit: str) -> None:
    done = train(recipe, [limit], runs=tmp_path, quiet=True).folder
    before = load_state(done / "state" / "state.pt").position["step"]
    metrics = (done / "metrics.csv").read_text()
    for _ in range(2):
        result = resume(done, quiet=True)
        assert limit.replace("1e-9", "1e-09") in result.reason
        assert (done / "metrics.csv").read_text() == metrics
    assert load_state(done / "state" / "state.pt").position["step"] == before


def test_max_minutes_ends_with_an_evaluation(recipe: Path, tmp_path: Path) -> None:
    result = train(recipe, ["max_minutes=1e-9"], runs=tmp_path, quiet=True)
    assert result.reason == "max_minutes=1e-09 are over"
    assert load_state(result.folder / "state" / "state.pt").position["step"] == 0


def test_patience_ends_a_run_that_gets_no_better(recipe: Path, tmp_path: Path) -> None:
    result = train(recipe, ["epochs=20", "patience=2", "optimizer.lr=1e-12", "~ema"], runs=tmp_path, quiet=True)
    assert result.reason == "no better top1 in 2 epochs"
    position = load_state(result.folder / "state" / "state.pt").position
    assert position["epoch"] == position["best_epoch"] + 2


def test_patience_waits_for_an_evaluation(recipe: Path, tmp_path: Path) -> None:
    changes = ["epochs=20", "patience=1", "evaluate_every=3", "optimizer.lr=1e-12", "~ema"]
    rows = (train(recipe, changes, runs=tmp_path, quiet=True).folder / "metrics.jsonl").read_text().splitlines()
    assert len(rows) % 3 == 0 < len(rows) < 20
    assert "test/top1" in rows[-1]


def test_a_full_disk_is_reported_and_leaves_the_last_good_state(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path, quiet=True).folder
    before = (done / "state" / "state.pt").read_bytes()

    def full(state: object, file: BinaryIO) -> None:
        file.write(b"half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(RunError, match="state.pt cannot be written: No space left on device"):
        resume(done, ["epochs=2"], quiet=True)
    assert (done / "state" / "state.pt").read_bytes() == before
    assert [path.name for path in (done / "state").iterdir()] == ["state.pt"]


def test_a_state_of_another_network_is_refused(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True).folder
    architecture = done / "architecture.yaml"
    architecture.write_text(architecture.read_text().replace("conv2d(8, 3)", "conv2d(9, 3)"))
    with pytest.raises(WeightsError, match="the state is of another network"):
        resume(done, quiet=True)


def test_too_few_outputs_are_refused_before_training(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="the network has 4 outputs and the data has 10 classes") as caught:
        train(recipe, ["vars.classes=4"], runs=tmp_path, quiet=True)
    assert caught.value.problems[0].hint == "set vars.classes=10"


def test_a_batch_that_is_never_full_is_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a batch of 9999 is larger than the data set of 1437 images"):
        train(recipe, ["batch=9999", "drop_last=true"], runs=tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("device=gpu", "there is no device 'gpu'"),
        ("device=cuda:99", "there is no GPU number 99"),
        ("freeze=nothing", "freeze: no parameter matches 'nothing'"),
        ("freeze=['*']", "freeze leaves nothing to train"),
        ("distill={architecture: resnet50}", "'distill' needs the key 'weights'"),
        ("passes=['fuse_conv_norm()']", "fuse_conv_norm is not for networks that will be trained"),
        ("passes=['strided_to_sdp()']", "there is no pass 'strided_to_sdp'"),
        ("architecture=resnet5", "there is no architecture 'resnet5'"),
        ("weights=nowhere.safetensors", "nowhere.safetensors: there is no such file"),
        ("data={name: folder, root: nowhere}", "nowhere"),
    ],
)
def test_what_cannot_be_run_is_said_before_training(recipe: Path, tmp_path: Path, override: str, message: str) -> None:
    from spdbuild.errors import InputError

    with pytest.raises(InputError) as caught:
        train(recipe, [override, "device=cpu"] if "device" not in override else [override], runs=tmp_path, quiet=True)
    assert message in str(caught.value)


def test_a_last_batch_of_one_image_is_refused_before_training_where_a_norm_needs_two(
    recipe: Path, tmp_path: Path
) -> None:
    pooled = tmp_path / "pooled.yaml"
    pooled.write_text(
        "model: pooled\ninputs: {image: [3, 32, 32]}\nvars: {classes: 10}\nlayers:\n  - stem: conv2d(4, 3)\n"
        "  - global_avg_pool()\n  - head: linear(classes)\n  - norm: batch_norm()\n"
    )
    data = ["data={name: generated, train: 13, test: 9, size: 32}", "epochs=1", f"architecture={pooled}"]
    with pytest.raises(RecipeError) as caught:
        train(recipe, [*data, "batch=12"], runs=tmp_path / "runs", quiet=True)
    assert str(caught.value) == (
        "command line:1:7: error: the last of the batches of 12 has 1 of 13 images, and a batch of 1 image gives the "
        "norm 'norm' one number a channel, which has no variance\n"
        "    1 | batch=12\n      |       ^\n      = hint: set drop_last=true, or another batch"
    )
    with pytest.raises(RecipeError, match="a batch of 1 image gives the norm 'norm' one number a channel"):
        train(recipe, [*data, "batch=1"], runs=tmp_path / "runs", quiet=True)
    for fine in (["batch=12", "drop_last=true"], ["batch=11"], ["batch=13"]):
        train(recipe, [*data, *fine], runs=tmp_path / "runs", quiet=True)


def test_a_last_batch_of_one_image_is_trained_where_a_norm_has_a_map(recipe: Path, tmp_path: Path) -> None:
    data = ["data={name: generated, train: 13, test: 9, size: 16}", "batch=12", "epochs=1"]
    assert train(recipe, data, runs=tmp_path, quiet=True).folder.is_dir()


def test_a_warm_up_as_long_as_the_run_is_said(recipe: Path, tmp_path: Path) -> None:
    for batches, told in ((36, True), (35, False)):
        done = train(recipe, [f"schedule.warmup_batches={batches}", "max_steps=1"], runs=tmp_path, quiet=True)
        line = f"the warm-up of {batches} batches is as long as the run, which has 36"
        assert (line in (done.folder / "log.txt").read_text()) is told
