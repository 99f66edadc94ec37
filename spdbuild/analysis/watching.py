"""Run and watch torch modules, and leave them as they were."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from spdbuild.errors import ArgumentError, InputError, first_line

if TYPE_CHECKING:
    from torch import nn

#: Held while modules are traced and run: a trace of torch.fx or torch.export changes modules' calls in every thread.
ALONE = threading.RLock()

#: Modules of torch whose hooks compute weights -> the function in torch.nn.utils that ends it.
_REMOVERS = {
    "torch.nn.utils.weight_norm": "remove_weight_norm",
    "torch.nn.utils.spectral_norm": "remove_spectral_norm",
    "torch.nn.utils.prune": "prune.remove",
}


def check_module(module: Any, argument: str = "module") -> None:
    """Raise ArgumentError for anything but a module, for a frozen one, and for one whose weights have no shapes yet.

    argument: its name in the message.
    """
    from torch import nn

    if not isinstance(module, nn.Module):
        hint = "spdbuild.convert and spdbuild.load take the names of architectures" if isinstance(module, str) else ""
        kind = type(module).__name__
        raise ArgumentError(f"{argument} must be a torch.nn.Module, got a {kind}", argument=argument, hint=hint)
    if not hasattr(module, "training"):
        hint = "give the module that was frozen"
        raise ArgumentError(f"{argument} is frozen TorchScript: its layers are gone", argument=argument, hint=hint)
    for name, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            hint = "run it once: module(example)"
            raise ArgumentError(f"the shape of its '{name}' is not known yet", argument=argument, hint=hint)


def copied(module: nn.Module) -> nn.Module:
    """A copy of any module; InputError if it cannot be copied."""
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever foreign attributes raise when they are copied
        raise InputError(
            f"{type(module).__name__} cannot be copied: {first_line(error)}", hint=_copying_hint(module)
        ) from error


def _copying_hint(module: nn.Module) -> str:
    """How to turn weights that torch's hooks compute into parameters; empty where there are none."""
    for path, part in module.named_modules():
        for hook in part._forward_pre_hooks.values():
            remove = _REMOVERS.get(type(hook).__module__)
            if remove:
                name = getattr(hook, "name", None) or getattr(hook, "_tensor_name", "weight")
                return f"torch.nn.utils.{remove}(layer, '{name}') makes the {name} of '{path}' an ordinary parameter"
    return ""


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, and restore the mode of each of its parts at the end."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def watched(parts: Mapping[str, nn.Module], note: Callable[[str, tuple[Any, ...], Any], None]) -> Iterator[None]:
    """Whenever one of `parts` has run, call `note` with its name, inputs and output."""

    def hook(name: str, part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        note(name, inputs, output)

    handles = [part.register_forward_hook(partial(hook, name)) for name, part in parts.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
