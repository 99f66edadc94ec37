"""Precision, speed and devices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.training.device import choose_device
from spdbuild.training.precision import autocast, choose_precision, make_scaler
from spdbuild.training.speed import measure_speed

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flag", "expected"), [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({}, "fp32")]
)
def test_auto_is_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, flag: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flag)
    assert choose_precision("auto", CPU) == expected


def test_what_is_asked_for_wins() -> None:
    assert choose_precision("fp32", CPU) == "fp32"


def test_bf16_reaches_the_convolutions() -> None:
    layer = nn.Conv2d(1, 1, 1)
    with autocast("bf16", CPU):
        assert layer(torch.ones(1, 1, 2, 2)).dtype == torch.bfloat16
    with autocast("fp32", CPU):
        assert layer(torch.ones(1, 1, 2, 2)).dtype == torch.float32


def test_only_fp16_scales_losses() -> None:
    assert not make_scaler("bf16", CPU).is_enabled()
    assert make_scaler("fp16", CPU).is_enabled()


def test_speed_times_both_kinds_of_call() -> None:
    seen: list[int] = []

    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return self.conv(images)

    speed = measure_speed(Counted(), (3, 4, 4), 8, "fp32", CPU, calls=3)
    # Five calls of warm-up before each kind.
    assert seen == [1] * 8 + [8] * 8
    assert speed.images_per_second > 0
    assert list(speed.latency_ms) == ["p50", "p90", "p99"]


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(RecipeError, match="there is no device 'tpu9'"):
        choose_device("tpu9")
