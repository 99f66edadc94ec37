"""Learning rates of some parameters, in proportion to that of the recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

import spdbuild
from spdbuild.data import DATASETS, Loader
from spdbuild.errors import ArgumentError, RecipeError
from spdbuild.training.network.scaling import scales_line
from spdbuild.training.optimizers import OPTIMIZERS, Optimizer
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.run import resume, train
from spdbuild.training.schedules.schedule import Rates, keep_own_rates, lr_of

Same = Callable[[Path, Path], None]
Rows = Callable[[Path], list[dict[str, Any]]]

#: The factors of every parameter of the network in conftest.py under SCALED, with those that have none.
SCALED = "optimizer.scales={'*': 0.5, head: 10, 'norm*.bias': 0.1}"
FACTORS = {
    **dict.fromkeys(("stem.weight", "norm.weight", "down.weight", "norm2.weight"), 0.5),
    **dict.fromkeys(("head.weight", "head.bias"), 10.0),
    **dict.fromkeys(("norm.bias", "norm2.bias"), 0.1),
}


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def scales(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, float]:
    """The factor of each parameter by its name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[p]: group.get("scale", 1) for group in optimizer.param_groups for p in group["params"]}


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_last_pattern_of_a_parameter_counts(name: str) -> None:
    model = network()
    made = OPTIMIZERS[name](scales={"*.bias": 3.0, "1": 0.1, "2": 10.0, "2.bias": 2.0}).make(model)
    assert scales(made, model) == {
        "0.weight": 1,
        "0.bias": 3,
        "1.weight": 0.1,
        "1.bias": 0.1,
        "2.weight": 10,
        "2.bias": 2,
    }
    for group in made.param_groups:
        assert len({p.ndim == 1 for p in group["params"]}) == 1


def test_without_scales_the_groups_are_those_of_the_roles() -> None:
    groups = OPTIMIZERS["sgd"]().groups(network())
    assert [(group["role"], len(group["params"]), "scale" in group) for group in groups] == [
        ("weight", 2, False),
        ("norm", 1, False),
        ("bias", 3, False),
    ]


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"optimizer\.scales: no parameter matches 'haed'"):
        OPTIMIZERS["sgd"](scales={"haed": 2.0}).make(network())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_trains_nothing_is_refused(scale: float) -> None:
    with pytest.raises(ArgumentError, match=f"the scale of 'head' must be more than 0 and finite, got {scale}"):
        OPTIMIZERS["sgd"](scales={"head": scale})


@pytest.fixture
def start(recipe: Path, tmp_path: Path) -> Path:
    """A file of weights for the network of the recipe, without its dropout."""
    architecture = tmp_path / "tiny.yaml"
    architecture.write_text(architecture.read_text().replace("  - dropout(0.1)\n", ""))
    torch.manual_seed(0)
    path = tmp_path / "start.safetensors"
    save_file(spdbuild.build(architecture).state_dict(), path)
    return path


KEYS = ["optimizer={name: sgd, lr: 0.02, momentum: 0.9, weight_decay: 0.01}", "augment=[]", "~ema", "epochs=2"]
WARM = "schedule={name: linear, warmup_batches: 4, warmup_start: 0.25, warmup_bias_lr: 0.05}"


def trained_by_torch(architecture: Path, start: Path) -> dict[str, torch.Tensor]:
    """What torch alone makes of the same weights and batches, with a group for each parameter."""
    model = spdbuild.build(architecture).train()
    model.load_state_dict(load_file(start))
    named = dict(model.named_parameters())
    groups = [
        {"params": [p], "lr": 0.02 * FACTORS[name], "weight_decay": 0 if p.ndim == 1 else 0.01}
        for name, p in named.items()
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9)

    def rate(first: float) -> Callable[[int], float]:
        return lambda step: (target := 1 - step / 24) + (first - target) * max(1 - step / 4, 0)

    schedule = LambdaLR(optimizer, [rate(0.05 / 0.02 if name.endswith("bias") else 0.25) for name in named])
    loader = Loader(DATASETS["digits"]().open("train"), 128, shuffle=True)
    for epoch in range(2):
        loader.set_epoch(epoch)
        for images, labels in loader:
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
    return model.state_dict()


def test_a_run_has_the_weights_of_torch_with_explicit_groups_also_if_it_was_resumed(
    recipe: Path, start: Path, tmp_path: Path, assert_same_run: Same, rows: Rows
) -> None:
    options = [*KEYS, WARM, SCALED, f"weights={start}"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole")
    expected = trained_by_torch(tmp_path / "tiny.yaml", start)
    weights = load_file(whole.folder / "weights" / "last.safetensors")
    for name in FACTORS:
        torch.testing.assert_close(weights[name], expected[name], rtol=1e-4, atol=1e-5)
    part = train(recipe, [*options, "max_steps=3"], quiet=True, runs=tmp_path / "part")
    resume(part.folder, ["max_steps=null"], quiet=True)
    assert_same_run(part.folder, whole.folder)
    # That of the recipe, whatever its factors.
    assert [row["lr"] for row in rows(whole.folder)] == pytest.approx([0.02 * (1 - step / 24) for step in (11, 23)])


def test_a_run_says_which_parameters_have_a_rate_of_their_own(recipe: Path, tmp_path: Path) -> None:
    chosen = ["optimizer.scales={head: 10, norm: 0.1, norm2: 0.1, '*.bias': 1}", "freeze=[stem]", "max_steps=1"]
    folder = train(recipe, chosen, quiet=True, runs=tmp_path).folder
    said = "learning rate times 10: head.weight; times 0.1: norm.weight, norm2.weight; times 1: the other 4 parameters"
    assert said in (folder / "log.txt").read_text().splitlines()
    assert (
        "learning rate"
        not in (train(recipe, ["max_steps=1"], quiet=True, runs=tmp_path).folder / "log.txt").read_text()
    )


def test_a_recipe_keeps_the_order_of_patterns_that_it_is_written_in(recipe: Path) -> None:
    assert [*load_recipe(recipe, [SCALED]).optimizer.scales] == ["*", "head", "norm*.bias"]
    assert load_recipe(load_recipe(recipe, [SCALED]).resolved()).optimizer == load_recipe(recipe, [SCALED]).optimizer


@dataclass(frozen=True)
class Plugin(Optimizer):
    """An optimizer whose groups have learning rates and factors of their own."""

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        first, second, third = ([parameter] for parameter in list(model.parameters())[:3])
        groups = [{"params": first, "lr": 0.3}, {"params": second}, {"params": third, "scale": 7.0}]
        return torch.optim.SGD(groups, lr=0.1)


def applied(lr: float) -> Iterator[float]:
    made = Plugin(lr=lr).make(network())
    keep_own_rates(made, lr)
    for rate in (lr, lr / 2):
        Rates(rate, rate, 0.0).apply(made)
        yield from (group["lr"] for group in made.param_groups)


def test_the_schedule_keeps_the_rates_of_a_plug_in_in_proportion() -> None:
    assert list(applied(0.1)) == pytest.approx([0.3, 0.1, 0.7, 0.15, 0.05, 0.35])
    # A rate that is a number of the plug-in stays that number, whatever the recipe's.
    assert list(applied(0.01)) == pytest.approx([0.3, 0.01, 0.07, 0.15, 0.005, 0.035])


def test_the_rate_of_a_plug_in_is_told_as_a_factor() -> None:
    model = network()
    made = Plugin(lr=0.1).make(model)
    keep_own_rates(made, 0.1)
    assert scales_line(model, made) == "learning rate times 7: 1; times 3: 0.weight; times 1: the other 1 parameter"
    assert lr_of(made) == pytest.approx(0.1)


@pytest.mark.parametrize("typed", ["optimizer.scales.haed=3", "optimizer.scales={head: 2, haed: 3}"])
def test_the_place_of_a_pattern_is_told(recipe: Path, typed: str) -> None:
    with pytest.raises(RecipeError, match=re.escape("optimizer.scales: no parameter matches 'haed'")) as caught:
        train(recipe, [typed], quiet=True)
    problem = caught.value.problems[0]
    assert problem.location is not None
    assert problem.location.text == typed
    assert problem.hint == "did you mean 'head'?"


@pytest.mark.parametrize("key", ["lr_mult", "backbone_lr"])
def test_the_keys_of_other_tools_lead_here(recipe: Path, key: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [f"{key}=0.1"])
    assert caught.value.problems[0].hint == "did you mean 'optimizer.scales'?"
