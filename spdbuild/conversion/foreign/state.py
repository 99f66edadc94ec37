"""Preserve what a module holds besides layers and parameters, however often third-party code is run or traced."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

#: Attributes of a module that its code does not use as attributes; it uses the names in them.
_NAMES = ("_parameters", "_modules", "_buffers")
_MISSING = object()


@contextmanager
def kept(root: nn.Module, arguments: Any = ()) -> Iterator[State]:
    """Restore at the end what the parts of `root` hold, and torch's random state.

    arguments: what `root` is called with; besides that of the CPU, the random state of its tensors' devices is
        restored.
    """
    state = State(root)
    tensors = [*root.parameters(), *(leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor))]
    with torch.random.fork_rng({tensor.device for tensor in tensors if tensor.is_cuda}):
        try:
            yield state
        finally:
            state.restore()


class State:
    """A snapshot of buffers, attributes, and the contents of lists and dictionaries in them."""

    def __init__(self, root: nn.Module) -> None:
        seen: set[int] = set()
        self._parts = [_Part(part, seen) for part in root.modules()]

    def changed(self) -> str:
        """The name of an attribute whose content has changed; empty if there is none."""
        return next(filter(None, (part.changed() for part in self._parts)), "")

    def restore(self) -> None:
        """Restore what has changed, except in parts that gave themselves parameters or layers: they are made now."""
        for part in self._parts:
            if part.is_complete():
                part.restore()


class _Part:
    def __init__(self, module: nn.Module, seen: set[int]) -> None:
        self.module, self.structure = module, _structure(module)
        self.attributes, self.buffers = dict(vars(module)), dict(module._buffers)
        self.containers: list[tuple[str, Any, list[Any]]] = []
        self.tensors: list[tuple[str, Tensor, Tensor, int]] = []
        for name, value in {**self.attributes, **self.buffers}.items():
            if name not in _NAMES:
                self._hold(name, value, seen)

    def _hold(self, name: str, value: Any, seen: set[int]) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
            # Tensors made in inference mode cannot be written outside of it, and do not count their versions.
            if not value.is_inference():
                self.tensors.append((name, value, value.detach().clone(), value._version))
        elif isinstance(value, list | dict | set | deque):
            self.containers.append((name, value, _contents(value)))
            for inner in _contents(value):
                self._hold(name, inner, seen)

    def is_complete(self) -> bool:
        return _structure(self.module) == self.structure

    def changed(self) -> str:
        names = [*_changed(vars(self.module), self.attributes), *_changed(self.module._buffers, self.buffers)]
        names += [name for name, value, contents in self.containers if not _same(_contents(value), contents)]
        names += [name for name, tensor, _, version in self.tensors if tensor._version != version]
        return next(iter(names), "")

    def restore(self) -> None:
        for now, before in ((vars(self.module), self.attributes), (self.module._buffers, self.buffers)):
            # TorchScript's buffers are in no dictionary, and its code cannot put others in their place.
            if isinstance(now, dict):
                now.clear()
                now.update(before)
        for _, value, contents in self.containers:
            if not _same(_contents(value), contents):
                _refill(value, contents)
        for _, tensor, numbers, _ in self.tensors:
            # Batch norm writes its statistics without counting a version.
            if not tensor.is_meta and not torch.equal(tensor, numbers):
                with torch.no_grad():
                    tensor.copy_(numbers)


def _changed(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    return [name for name in {**now, **before} if now.get(name, _MISSING) is not before.get(name, _MISSING)]


def _structure(module: nn.Module) -> list[tuple[str, int]]:
    return [(name, id(value)) for name, value in {**module._parameters, **module._modules}.items()]


def _contents(value: Any) -> list[Any]:
    return [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _refill(value: Any, contents: list[Any]) -> None:
    value.clear()
    if isinstance(value, dict):
        half = len(contents) // 2
        value.update(zip(contents[:half], contents[half:], strict=True))
    elif isinstance(value, set):
        value.update(contents)
    else:
        value.extend(contents)
