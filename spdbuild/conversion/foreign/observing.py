"""Run a module once and see which strided windows it really computes, whatever code asks for them.

Every way to write a layer (a module, a function, TorchScript) ends in a few operators of torch; they are watched,
together with the modules whose `forward` is running.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import count
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from spdbuild.analysis.watching import evaluation
from spdbuild.conversion.foreign.state import kept
from spdbuild.errors import InputError, first_line

_TORCH = str(Path(torch.__file__).parent) + os.sep
_aten = torch.ops.aten
#: Pooling operators -> what a report calls them.
_POOLS = {
    _aten.max_pool2d_with_indices: "max_pool2d",
    _aten.max_pool2d: "max_pool2d",
    _aten.avg_pool2d: "avg_pool2d",
}


class Arguments(NamedTuple):
    """What a module is called with."""

    positional: tuple[Any, ...]
    named: dict[str, Any]

    def call(self, module: nn.Module) -> Any:
        return module(*self.positional, **self.named)


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

    outputs: the tensors that it returned, wherever they are in what it returned.
    calls: its strided convolutions and pools, in order.
    macs: multiply-accumulates of the whole run; `macs_of` those of the convolutions of single modules.
    ran: the modules whose `forward` was run; `unbatched` those of them that were given an image (C, H, W).
    readers: address of a parameter -> the modules whose `forward` computed with it.
    """

    outputs: list[Tensor] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    macs: int = 0
    macs_of: Counter[nn.Module] = field(default_factory=Counter)
    ran: set[nn.Module] = field(default_factory=set)
    unbatched: set[nn.Module] = field(default_factory=set)
    readers: dict[int, set[nn.Module]] = field(default_factory=dict)


def observe(module: nn.Module, arguments: Arguments) -> Observation:
    """What `module` computes from these arguments in evaluation, without gradients.

    Its modes, buffers and attributes, the arguments, and torch's random state are left as they were.
    Raises InputError if the module cannot take the arguments.
    """
    observation = Observation()
    stack: list[Run] = []
    flops, watch = FlopCounterMode(display=False), _Watch(stack, observation, module)
    try:
        with evaluation(module), kept(module, arguments), _stacked(stack, observation), torch.no_grad():
            with flops, watch:
                result = tree_map_only(Tensor, torch.clone, arguments).call(module)
            observation.outputs = list(_outputs(result))
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in tree_leaves(arguments) if isinstance(x, Tensor))
        raise InputError(
            f"{type(module).__name__} cannot be run on the example {shapes}: {first_line(error)}",
            hint="give an example that module(example) takes, of the module's dtype and on its device",
        ) from error
    observation.macs = flops.get_total_flops() // 2
    return observation


def address(tensor: Tensor) -> int:
    """Where the numbers of a tensor begin; 0 where there are none, as on the meta device."""
    return tensor.data_ptr() if tensor.layout is torch.strided else 0


def _outputs(result: Any) -> Iterator[Tensor]:
    """Copies of the tensors in what a module returned, since one may be a buffer that is about to be put back.

    Whole numbers, such as indices, count only where there is nothing else; complex numbers become pairs of real ones.
    """
    tensors = list(_tensors(result, {}))
    fractions = [x for x in tensors if x.is_floating_point() or x.is_complex()]
    for x in fractions or tensors:
        yield torch.view_as_real(x.resolve_conj()).clone() if x.is_complex() else x.clone()


def _tensors(result: Any, seen: dict[int, Any]) -> Iterator[Tensor]:
    """The tensors in a result of any kind, once each container that torch does not know, which may hold itself."""
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            yield leaf
        elif id(leaf) not in seen:
            seen[id(leaf)] = leaf
            yield from _tensors(_parts(leaf), seen)


def _parts(value: Any) -> list[Any]:
    """What a container of some other class holds: a mapping, a list or set, a dataclass, an object's attributes."""
    if isinstance(value, nn.Module | type | ModuleType | FunctionType):
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | Set | deque):
        return list(value)
    slots = [field.name for field in fields(value)] if is_dataclass(value) else []
    return [*getattr(value, "__dict__", {}).values(), *(getattr(value, name, None) for name in slots)]


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every strided operator, and who reads the parameters of `module`."""

    def __init__(self, stack: list[Run], observation: Observation, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stack, self.observation = stack, observation
        self.parameters = set(map(address, module.parameters())) - {0}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._note_readers(args, kwargs)
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

    def _note_readers(self, *read: Any) -> None:
        addresses = {address(x) for x in tree_leaves(read) if isinstance(x, Tensor)}
        for parameter in addresses & self.parameters if self.stack else ():
            self.observation.readers.setdefault(parameter, set()).add(self.stack[-1].module)

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
def _stacked(stack: list[Run], observation: Observation) -> Iterator[None]:
    """Keep `stack` at the modules whose `forward` is running in this thread, and note what ran."""
    numbers, thread = count(), threading.get_ident()

    def enter(module: nn.Module, arguments: Any) -> None:
        # torch calls these hooks for the modules of every thread.
        if threading.get_ident() != thread:
            return
        stack.append(Run(module, next(numbers)))
        observation.ran.add(module)
        if arguments and isinstance(arguments[0], Tensor) and arguments[0].dim() == 3:
            observation.unbatched.add(module)

    def leave(module: nn.Module, _: Any, __: Any) -> None:
        while threading.get_ident() == thread and stack and stack.pop().module is not module:
            pass

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
