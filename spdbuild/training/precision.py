"""Which numbers the model works with."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from spdbuild.errors import RecipeError

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(wanted: str, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """`wanted`, or for "auto" bf16 where the device has instructions for it and fp32 elsewhere."""
    if wanted == "auto":
        return "bf16" if _has_bf16(device) else "fp32"
    if wanted == "fp16" and device.type == "cpu":
        raise RecipeError("a CPU does not train in fp16", hint="set precision=bf16 or precision=auto")
    return wanted  # type: ignore[return-value]


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which the model and its loss are computed."""
    return torch.autocast(device.type, _TYPES[precision]) if precision in _TYPES else nullcontext()


def make_scaler(precision: str, device: torch.device) -> torch.amp.GradScaler:
    """Scales losses so that small gradients do not vanish in fp16; does nothing in other precisions."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        # Emulation counts as support for torch, and is slower than fp32.
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
