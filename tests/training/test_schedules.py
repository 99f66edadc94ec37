"""Schedules beside those of torch, and beside the published warm-ups."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from spdbuild.errors import ArgumentError
from spdbuild.training.optimizers import OPTIMIZERS
from spdbuild.training.schedules import SCHEDULES, Schedule
from spdbuild.training.schedules.shapes import Constant, Cosine, Linear, MultiStep, OneCycle, Poly

EPOCHS = 20

#: What has no default.
REQUIRED: dict[str, dict[str, Any]] = {"multi_step": {"milestones": (60.0, 120.0, 160.0)}}


def optimizer() -> SGD:
    return SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def rates_of_torch(scheduler: lr_scheduler.LRScheduler, steps: int) -> list[float]:
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


TORCH = {
    "cosine": (Cosine(final=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS, eta_min=0.01)),
    "multi_step": (MultiStep(milestones=(3.0, 9.0), gamma=0.2), lambda o: lr_scheduler.MultiStepLR(o, [3, 9], 0.2)),
    "linear": (Linear(final=0.3), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.3, EPOCHS)),
    "poly": (Poly(power=2.0), lambda o: lr_scheduler.PolynomialLR(o, EPOCHS, 2.0)),
    "constant": (Constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
}


@pytest.mark.parametrize(("schedule", "make"), TORCH.values(), ids=TORCH.keys())
def test_an_epoch_has_the_learning_rate_that_torch_gives_it(schedule: Schedule, make: object) -> None:
    expected = rates_of_torch(make(optimizer()), EPOCHS)  # type: ignore[operator]
    got = [0.1 * schedule.factor(epoch, EPOCHS) for epoch in range(EPOCHS)]
    assert got == pytest.approx(expected)


def test_one_cycle_is_that_of_torch() -> None:
    # torch counts to the last step, we to the end of the run: its 20 values are at 0/19, 1/19, ... and its peak,
    # 0.3 of 20 steps less one, at 5/19.
    scheduler = lr_scheduler.OneCycleLR(
        optimizer(), 0.1, total_steps=20, pct_start=0.3, div_factor=25, final_div_factor=1e4, cycle_momentum=False
    )
    schedule = OneCycle(peak=5 / 19, initial=1 / 25, final=1 / 25e4)
    got = [0.1 * schedule.factor(step / 19, 1) for step in range(20)]
    assert got == pytest.approx(rates_of_torch(scheduler, 20), rel=1e-6)


def test_the_published_cosine_of_yolov5() -> None:
    # REFERENCE.md 4.1.4: lrf 0.1 and 300 epochs.
    factors = [Cosine(final=0.1).factor(epoch, 300) for epoch in (0, 1, 150, 299)]
    assert factors == pytest.approx([1, 0.9999753262144805, 0.55, 0.10002467378551949], abs=1e-15)


def test_the_published_warm_up_of_yolov5() -> None:
    # REFERENCE.md 4.1.4: at least 1000 batches; biases from 0.1 down, the others from 0 up, momentum from 0.8.
    schedule = Cosine(
        per="epoch",
        final=0.1,
        warmup_epochs=3,
        warmup_batches=1000,
        warmup_start=0,
        warmup_bias_lr=0.1,
        warmup_momentum=0.8,
    )
    first, middle, after = (schedule.rates(step, 100, 300, 0.01, 0.937) for step in (0, 500, 1000))
    assert (first.lr, first.bias_lr, first.momentum) == (0, 0.1, 0.8)
    target = 0.01 * schedule.factor(5, 300)
    assert (middle.lr, middle.bias_lr) == pytest.approx((target / 2, (0.1 + target) / 2))
    assert middle.momentum == pytest.approx(0.8685)
    assert after.lr == after.bias_lr == 0.01 * schedule.factor(10, 300)
    assert after.momentum == 0.937


def test_the_published_warm_up_of_the_classifiers_starts_from_zero() -> None:
    # REFERENCE.md 4.2: 0, 1/N, 2/N of the base in the first epoch; changes at the start of epochs 60, 120, 160, from 1.
    schedule = MultiStep(milestones=(59.0, 119.0, 159.0), gamma=0.2, warmup_epochs=1, warmup_start=0)
    rates = [schedule.rates(step, 4, 200, 0.1, 0.9).lr for step in (0, 1, 3, 4, 235, 236, 476, 636)]
    assert rates == pytest.approx([0, 0.025, 0.075, 0.1, 0.1, 0.02, 0.004, 0.0008])


def test_within_an_epoch_the_rate_moves_or_stands_still() -> None:
    moving, still = (Linear(per=per) for per in ("step", "epoch"))  # type: ignore[arg-type]
    assert moving.rates(15, 10, 2, 1.0, 0).lr == pytest.approx(0.25)
    assert still.rates(15, 10, 2, 1.0, 0).lr == pytest.approx(0.5)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_every_schedule_stays_between_zero_and_one(name: str) -> None:
    factors = [SCHEDULES[name](**REQUIRED.get(name, {})).factor(step / 10, 200) for step in range(2001)]
    assert len(factors) == 2001
    assert all(0 <= factor <= 1 for factor in factors)


WRONG = (-5.0, 0.0, 2.0, math.nan, math.inf)
NUMBERS = [(name, field.name) for name in SCHEDULES for field in fields(SCHEDULES[name]) if field.name != "per"]


@pytest.mark.parametrize(("name", "option"), NUMBERS)
def test_whatever_number_is_written_is_refused_or_gives_a_rate(name: str, option: str) -> None:
    for value in WRONG:
        schedule = read(name, option, (value,) if option == "milestones" else value)
        if isinstance(schedule, ArgumentError):
            assert schedule.argument == option
            continue
        rates = [schedule.rates(step, 10, 20, 0.1, 0.9) for step in range(0, 200, 7)]
        assert all(0 <= number < math.inf for rate in rates for number in (rate.lr, rate.bias_lr, rate.momentum))


def read(name: str, option: str, value: object) -> Schedule | ArgumentError:
    try:
        return replace(SCHEDULES[name](**REQUIRED.get(name, {})), **{option: value})
    except ArgumentError as error:
        return error


@pytest.mark.parametrize(("value", "rule"), [(-5.0, "at least 0"), (math.nan, "a finite number")])
def test_a_last_factor_below_zero_is_refused(value: float, rule: str) -> None:
    with pytest.raises(ArgumentError, match=f"final must be {rule}, got {value}"):
        Cosine(final=value)


def test_a_momentum_that_starts_from_zero_grows() -> None:
    weights = SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    weights.param_groups[0]["role"] = "weight"
    schedule = Constant(warmup_batches=2, warmup_momentum=0.0)
    seen = []
    for step in range(4):
        schedule.rates(step, 10, 1, 0.1, 0.9).apply(weights)
        seen.append(weights.param_groups[0]["momentum"])
    assert seen == pytest.approx([0, 0.45, 0.9, 0.9])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_a_momentum_is_warmed_up_or_refused(name: str) -> None:
    # What an optimizer has is looked up in torch's, not in ours.
    model = torch.nn.Linear(2, 2)
    made = OPTIMIZERS[name]().make(model)
    schedule = Constant(warmup_batches=4, warmup_momentum=0.5)
    if not {"momentum", "betas"} & set(made.defaults):
        with pytest.raises(ArgumentError, match="has no momentum to warm up"):
            schedule.check_optimizer(OPTIMIZERS[name]())
        return
    schedule.check_optimizer(OPTIMIZERS[name]())
    for step in range(6):
        schedule.rates(step, 10, 1, 0.1, 0.9).apply(made)
        model(torch.ones(1, 2)).sum().backward()
        made.step()
    group = made.param_groups[0]
    assert group.get("momentum", group.get("betas", (None,))[0]) == 0.9


def test_rmsprop_cannot_start_its_momentum_from_zero() -> None:
    chosen = OPTIMIZERS["rmsprop"](momentum=0.9)  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match="momentum of rmsprop cannot start from 0"):
        Constant(warmup_momentum=0.0).check_optimizer(chosen)


@pytest.mark.parametrize(("warmup", "epochs", "hint"), [(5, 2, "=1"), (2, 2, "=1"), (1, 1, "=0")])
def test_a_warm_up_that_fills_the_run_is_refused(warmup: float, epochs: int, hint: str) -> None:
    with pytest.raises(ArgumentError, match=f"warmup_epochs={warmup} is not below epochs={epochs}") as caught:
        Cosine(warmup_epochs=warmup).check_epochs(epochs)
    assert caught.value.problems[0].hint == f"set schedule.warmup_epochs{hint}"
    Cosine(warmup_epochs=warmup).check_epochs(epochs + 5)


def test_a_warm_up_does_not_start_above_the_learning_rate() -> None:
    with pytest.raises(ArgumentError, match=r"warmup_start must be between 0 and 1, got 5\.0"):
        Cosine(warmup_start=5.0)
