"""Training in numbers of 16 bits: on the CPU for everybody, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from spdbuild.errors import RunError
from spdbuild.training.checkpoint import load_state
from spdbuild.training.running import learner, updates
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of NVIDIA")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets runs begin with another scale of the loss, or change it more often."""

    def begin(**options: Any) -> None:
        def make(precision: str, device: torch.device) -> torch.amp.GradScaler:
            return torch.amp.GradScaler(device.type, enabled=precision == "fp16", **options)

        monkeypatch.setattr(learner, "make_scaler", make)

    return begin


def scaler_of(folder: Path) -> dict[str, Any]:
    state = load_state(folder / "state" / "state.pt").scaler
    assert isinstance(state, dict)
    return state


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "weights" / "last.safetensors")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("channels_last", ["true", "false"])
@pytest.mark.slow
def test_half_precision_learns_digits(
    recipe: Path, tmp_path: Path, device: str, precision: str, channels_last: str
) -> None:
    options = [f"precision={precision}", f"channels_last={channels_last}", f"device={device}"]
    options += ["epochs=6", "batch=32", "~augment", "optimizer.lr=0.05", "~ema"]
    done = train(recipe, options, runs=tmp_path, quiet=True)
    assert done.metrics["top1"] > 0.8
    # The weights themselves stay in fp32, and are evaluated in the precision of the run.
    assert {tensor.dtype for name, tensor in weights_of(done.folder).items() if "batches" not in name} == {
        torch.float32
    }
    assert evaluate(done.folder, weights=done.folder / "weights" / "last.safetensors").stored.precision == precision


@pytest.mark.parametrize(("precision", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_the_layers_compute_in_the_precision_of_the_recipe(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, precision: str, dtype: torch.dtype
) -> None:
    seen = set()
    forward = nn.Conv2d.forward

    def watched(self: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        output = forward(self, images)
        seen.add((self.training, output.dtype))
        return output

    monkeypatch.setattr(nn.Conv2d, "forward", watched)
    train(recipe, [f"precision={precision}", f"device={device}", "max_steps=1"], runs=tmp_path, quiet=True)
    assert (True, dtype) in seen
    assert (False, dtype) in seen
    assert (True, torch.float32) not in seen


def test_a_resumed_run_goes_on_with_the_scale_of_the_loss(
    recipe: Path, tmp_path: Path, device: str, scale: Callable[..., None]
) -> None:
    scale(init_scale=256.0, growth_interval=5)
    options = ["precision=fp16", f"device={device}", "epochs=2"]
    whole = train(recipe, options, runs=tmp_path / "whole", quiet=True).folder
    part = train(recipe, [*options, "max_steps=8"], runs=tmp_path / "part", quiet=True).folder
    assert (scaler_of(part)["scale"], scaler_of(part)["_growth_tracker"]) == (512.0, 3)
    resume(part, ["max_steps=null"], quiet=True)
    assert scaler_of(part) == scaler_of(whole)
    # Twenty-four steps double the scale four times.
    assert scaler_of(part)["scale"] == 4096.0
    expected = weights_of(whole)
    for name, tensor in weights_of(part).items():
        if device == "cpu":
            assert torch.equal(tensor, expected[name]), name
        else:
            torch.testing.assert_close(tensor, expected[name], rtol=0.05, atol=0.02, msg=name)


def test_a_gradient_that_overflows_skips_the_step_and_halves_the_scale(
    recipe: Path, tmp_path: Path, device: str, scale: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    scale(init_scale=2.0**40)
    seen: list[dict[str, torch.Tensor]] = []
    step = updates.Updates.step

    def watched(self: updates.Updates, *arguments: Any) -> None:
        seen.append({name: p.detach().clone() for name, p in self.session.learner.model.named_parameters()})
        step(self, *arguments)

    monkeypatch.setattr(updates.Updates, "step", watched)
    options = ["precision=fp16", f"device={device}", "epochs=3", "~ema"]
    done = train(recipe, options, runs=tmp_path, quiet=True).folder
    halved = [2.0**power for power in range(40)]
    assert scaler_of(done)["scale"] in halved
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in seen[0].items())
    assert not all(torch.equal(tensor, seen[-1][name]) for name, tensor in seen[0].items())
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(done).values())


def test_clipping_does_not_hide_a_gradient_that_overflows(
    recipe: Path, tmp_path: Path, device: str, scale: Callable[..., None]
) -> None:
    scale(init_scale=2.0**40)
    options = ["precision=fp16", f"device={device}", "epochs=3", "clip=1.0", "~ema"]
    done = train(recipe, options, runs=tmp_path, quiet=True).folder
    assert scaler_of(done)["scale"] < 2.0**40
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(done).values())


def test_a_layer_whose_numbers_are_too_large_for_fp16_is_named(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    step = updates.Updates.step

    def poisoned(self: updates.Updates, *arguments: Any) -> None:
        if self.session.position.step == 2:
            # Finite in fp32, and beyond the 65504 of fp16.
            nn.init.constant_(self.session.learner.model.get_parameter("down.weight"), 1e6)
        step(self, *arguments)

    monkeypatch.setattr(updates.Updates, "step", poisoned)
    with pytest.raises(RunError, match="the loss of step 3 is not finite: .* is 'down'"):
        train(recipe, ["precision=fp16", f"device={device}"], runs=tmp_path, quiet=True)


def test_a_gradient_that_stays_infinite_ends_the_run(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    accumulate = updates.Updates._accumulate

    def poisoned(self: updates.Updates, *arguments: Any, **options: Any) -> None:
        accumulate(self, *arguments, **options)
        gradient = self.session.learner.model.get_parameter("down.weight").grad
        assert gradient is not None
        gradient.fill_(float("inf"))

    monkeypatch.setattr(updates.Updates, "_accumulate", poisoned)
    with pytest.raises(RunError, match="the gradients are not finite, however small the loss is made; its scale is "):
        train(recipe, ["precision=fp16", f"device={device}", "epochs=5"], runs=tmp_path, quiet=True)
