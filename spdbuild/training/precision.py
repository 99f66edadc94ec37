"""The floating-point precision that a model computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from spdbuild.errors import RunError

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

#: The least scale of a loss in fp16; the scale begins at 2^16 and is halved for each gradient that overflows.
_LEAST_SCALE = 2.0**-14


def choose_precision(wanted: str, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """`wanted`, or for "auto" bf16 where the device has fast instructions for it and fp32 elsewhere."""
    if wanted == "auto":
        return "bf16" if _has_fast_bf16(device) else "fp32"
    return wanted  # type: ignore[return-value]


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which the model and its loss are computed."""
    return torch.autocast(device.type, _TYPES[precision]) if precision in _TYPES else nullcontext()


def make_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Scales losses so that small gradients do not vanish in fp16; does nothing in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def check_scale(scaler: torch.amp.GradScaler) -> None:
    """RunError if every update is skipped: gradients that overflow even at so small a scale are infinite anyway."""
    if scaler.is_enabled() and (scale := scaler.get_scale()) < _LEAST_SCALE:
        message = f"the gradients are not finite, however small the loss is made; its scale is {scale:.3g}"
        raise RunError(message, hint="lower optimizer.lr, or set precision=fp32")


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        # torch counts emulation as support, but it is slower than fp32.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    # Sapphire Rapids multiplies bf16 by AVX-512 at half the rate of fp32, and virtual machines may hide its AMX.
    slow = "Intel" in capabilities.get("cpu_name", "") and capabilities.get("avx512_fp16")
    return bool(capabilities.get("amx_bf16") or (capabilities.get("avx512_bf16") and not slow))
