"""The released ResNet50-SPD with weights under its own names: `spdbuild eval` computes what the bare module does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import spdbuild
from spdbuild.cli import spdbuild as command_line
from spdbuild.data.sets.generated import Generated
from spdbuild.training.tasks.classification import Classification

#: REFERENCE.md 4.3.
MEAN = (0.50707516, 0.48654887, 0.44091784)
STD = (0.26733429, 0.25643846, 0.27615047)


@pytest.fixture
def imported(golden_weights: Callable[..., dict[str, Tensor]], tmp_path: Path) -> Path:
    """The golden weights as a checkpoint of the released code, and that imported."""
    drawn = golden_weights("resnet50_spd_cifar10.he")
    theirs = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in drawn.items()}
    torch.save(theirs, tmp_path / "best.pth")
    ours = tmp_path / "imported.safetensors"
    run("weights", "import", tmp_path / "best.pth", "--arch", "resnet50_spd_cifar10", "--table", "spd_conv", "-o", ours)
    return ours


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(command_line, list(map(str, arguments)), prog_name="spdbuild")
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Batches of logits that evaluations gave to their meters."""
    seen: list[Tensor] = []
    meter_of = Classification.meter

    def meter(*arguments: Any) -> Any:
        made = meter_of(*arguments)
        update = made.update
        made.update = lambda logits, labels: (seen.append(logits.clone()), update(logits, labels))
        return made

    monkeypatch.setattr(Classification, "meter", meter)
    return seen


@torch.inference_mode()
def test_eval_gives_the_logits_of_the_bare_module(imported: Path, golden: Path, evaluated: list[Tensor]) -> None:
    model = spdbuild.build("resnet50_spd_cifar10", imported).double().eval()
    file = np.load(golden / "resnet50_spd_cifar10.he.npz")
    published = torch.from_numpy(file["out"])
    assert (model(torch.from_numpy(file["input"]).double()) - published).abs().max() < 1e-9 * published.abs().max()

    data = "data={name: generated, train: 9, test: 18}"
    options = (data, "device=cpu", "batch=10", "workers=0", "--no-speed", "--json")
    document = json.loads(run("eval", "cifar10_resnet50_spd", "--weights", imported, *options).stdout)

    images = Generated(train=9, test=18).open("test")
    mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (MEAN, STD))
    expected = model((images.images / 255.0 - mean) / std)
    logits = torch.cat(evaluated)
    assert logits.shape == (18, 100)
    torch.testing.assert_close(logits.double(), expected, rtol=0, atol=1e-5 * float(expected.std()))
    right = (expected.argmax(dim=1) == images.labels).double().mean()
    assert document["metrics"]["top1"] == pytest.approx(float(right))
    assert document["params"] == 27_838_436
