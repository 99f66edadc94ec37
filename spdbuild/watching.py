"""Torch modules that are run and watched, and afterwards are as they were."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from spdbuild.errors import InputError, first_line

if TYPE_CHECKING:
    from torch import nn


def copied(module: nn.Module) -> nn.Module:
    """A copy of a module, whoever wrote it; InputError if it cannot be copied."""
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever the attributes of others raise when they are copied
        raise InputError(f"{type(module).__name__} cannot be copied: {first_line(error)}") from error


@contextmanager
def evaluation(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation, and each of its parts back into its own mode at the end."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextmanager
def watched(parts: Mapping[str, nn.Module], note: Callable[[str, tuple[Any, ...], Any], None]) -> Iterator[None]:
    """Call `note` with its name, inputs and output whenever one of `parts` has run."""

    def hook(name: str, part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        note(name, inputs, output)

    handles = [part.register_forward_hook(partial(hook, name)) for name, part in parts.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
