"""Which numbers a model works with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spdbuild.training.precision import autocast, choose_precision, make_scaler

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({}, "fp32"),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, "bf16"),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, "bf16"),
        ({"avx512_bf16": True, "avx512_fp16": True, "cpu_name": "Intel Xeon"}, "fp32"),
        ({"avx512_bf16": True, "avx512_fp16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, "bf16"),
    ],
)
def test_auto_is_bf16_where_the_processor_is_fast_with_it(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, bool | str], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: facts)
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
