"""A torch module, traced: its operations in order, the modules they run in, and what each gives for an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._pytree import tree_map_only

from spdbuild.analysis.watching import copied
from spdbuild.errors import InputError, first_line
from spdbuild.importing.layers import rule_of


class Measured(NamedTuple):
    """What is kept of a tensor."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Traced:
    """The graph of torch.fx, and for each of its nodes the result: of tensors their shapes, anything else as it is."""

    module: nn.Module
    graph: fx.Graph
    results: dict[fx.Node, Any]

    def scope(self, node: fx.Node) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names, each relative to the one before, and classes of the modules whose forward the node is in."""
        stack = list(node.meta.get("nn_module_stack", {}).values())
        if node.op == "call_module":
            stack = [entry for entry in stack if entry[0] != node.target]
        names, before = [], ""
        for path, _ in stack:
            names.append(path.removeprefix(f"{before}.") if before else path)
            before = path
        inner = [(name, kind) for name, (_, kind) in zip(names, stack, strict=True) if name]
        return tuple(name for name, _ in inner), tuple(kind.__name__ for _, kind in inner)


def trace(module: nn.Module, example: Tensor) -> Traced:
    """The operations of `module` in evaluation; of a copy, because its code may write into what it is run on.

    Raises InputError if the module cannot be copied or run, or torch.fx cannot follow it.
    """
    _check_visible(module)
    name, evaluated = type(module).__name__, copied(module).eval()
    try:
        graph = _Tracer().trace(evaluated)
    except Exception as error:  # whatever third-party code raises when it meets a tensor without numbers
        raise InputError(f"torch.fx cannot follow {name}: {first_line(error)}") from error
    recorder = _Recorder(evaluated, graph)
    try:
        with torch.no_grad():
            recorder.run(example.clone())
    except Exception as error:
        raise InputError(f"{name} cannot be run on {tuple(example.shape)}: {first_line(error)}") from error
    return Traced(evaluated, graph, recorder.results)


def _check_visible(module: nn.Module) -> None:
    """Raise InputError for what a module does outside of its forward, where torch.fx cannot see it."""
    for name, part in module.named_modules():
        where = name or "the module itself"
        if is_parametrized(part):
            weight = next(iter(cast(nn.ModuleDict, part.parametrizations)))
            raise InputError(
                f"{where} cannot be imported: its {weight} is computed by torch.nn.utils.parametrize",
                hint=f"remove_parametrizations(layer, '{weight}') keeps what it is now",
            )
        for hook in [*part._forward_pre_hooks.values(), *part._forward_hooks.values()]:
            raise InputError(
                f"{where} cannot be imported: it has the hook {getattr(hook, '__qualname__', type(hook).__name__)}",
                hint="remove it; that of weight_norm by remove_weight_norm(), that of pruning by prune.remove()",
            )


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return rule_of(m) is not None or super().is_leaf_module(m, module_qualified_name)


class _Recorder(fx.Interpreter):
    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.results[n] = tree_map_only(Tensor, lambda tensor: Measured(tuple(tensor.shape)), result)
        return result
