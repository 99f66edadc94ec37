"""Run a module once and see which strided windows it really computes, whoever asks for them.

Below every way to write a layer (a module, a function, TorchScript) stand a few operators of torch; they are watched,
together with the modules whose `forward` is running.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from spdbuild.errors import InputError

_TORCH = str(Path(torch.__file__).parent) + os.sep
_aten = torch.ops.aten
#: Operators of pooling -> how a report calls them.
_POOLS = {
    _aten.max_pool2d_with_indices: "max_pool2d",
    _aten.max_pool2d: "max_pool2d",
    _aten.avg_pool2d: "avg_pool2d",
}


@dataclass(frozen=True)
class Run:
    """One run of a module's `forward`."""

    module: nn.Module
    number: int


@dataclass(frozen=True)
class Call:
    """A strided convolution or pool that was computed, the `number`-th of them.

    runs: the modules whose `forward` was running, innermost last.
    channels, dtype, device: of what it read.
    weight: address of the convolution's weight; 0 for a pool.
    at: the line of Python that asked for it, outside of torch: file:line.
    """

    number: int
    kind: str
    runs: tuple[Run, ...]
    channels: int
    dtype: torch.dtype
    device: torch.device
    weight: int
    at: str


@dataclass
class Observation:
    """What one run of a module computed.

    calls: its strided convolutions and pools, in order.
    macs: multiply-accumulates of the whole run; `macs_of` those of the convolutions of single modules.
    ran: the modules whose `forward` was run.
    """

    outputs: list[Tensor] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    macs: int = 0
    macs_of: Counter[nn.Module] = field(default_factory=Counter)
    ran: set[nn.Module] = field(default_factory=set)


def observe(module: nn.Module, arguments: tuple[Any, ...]) -> Observation:
    """What `module` computes of these arguments in evaluation, without gradients; its modes are afterwards as before.

    Raises InputError if the module cannot take the arguments.
    """
    observation = Observation()
    stack: list[Run] = []
    flops = FlopCounterMode(display=False)
    try:
        with _evaluation(module), _stacked(stack, observation.ran), torch.no_grad(), flops, _Watch(stack, observation):
            result = module(*arguments)
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in tree_leaves(arguments) if isinstance(x, Tensor))
        first = str(error).strip().splitlines()[:1]
        raise InputError(
            f"{type(module).__name__} cannot be run on the example {shapes}: {first[0] if first else type(error)}",
            hint="give an example that module(example) takes, of the module's dtype and on its device",
        ) from error
    observation.macs = flops.get_total_flops() // 2
    observation.outputs = [x for x in tree_leaves(result) if isinstance(x, Tensor) and x.is_floating_point()]
    return observation


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every strided operator."""

    def __init__(self, stack: list[Run], observation: Observation) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stack, self.observation = stack, observation

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet is _aten.convolution and not args[6]:
            if self.stack:
                self.observation.macs_of[self.stack[-1].module] += result.numel() * args[1][0].numel()
            if len(args[3]) == 2 and max(args[3]) > 1:
                self._note("conv2d", args[0], args[1].data_ptr())
        elif packet in _POOLS:
            stride = (args[2] if len(args) > 2 else ()) or args[1]
            # torch pools sequences as images of one row.
            if max(stride) > 1 and (args[0].shape[-2], args[1][0]) != (1, 1):
                self._note(_POOLS[packet], args[0], 0)
        return result

    def _note(self, kind: str, x: Tensor, weight: int) -> None:
        calls, runs, at = self.observation.calls, tuple(self.stack), _place(sys._getframe())
        calls.append(Call(len(calls), kind, runs, x.shape[-3], x.dtype, x.device, weight, at))


def _place(frame: FrameType | None) -> str:
    """file:line of the innermost frame that is not torch's; empty if the example was called from torch itself."""
    while frame is not None and frame.f_code is not observe.__code__:
        file = frame.f_code.co_filename
        if not file.startswith(_TORCH) and file != __file__:
            return f"{file.rpartition('site-packages/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


@contextmanager
def _stacked(stack: list[Run], ran: set[nn.Module]) -> Iterator[None]:
    """Keep `stack` at the modules whose `forward` is running."""
    numbers = count()

    def enter(module: nn.Module, _: Any) -> None:
        stack.append(Run(module, next(numbers)))
        ran.add(module)

    def leave(module: nn.Module, _: Any, __: Any) -> None:
        while stack and stack.pop().module is not module:
            pass

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluation(module: nn.Module) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
