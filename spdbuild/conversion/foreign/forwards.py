"""Strided functions within the `forward` of a module: found by torch.fx, and replaced by layers.

Only that `forward` is traced; the modules that it calls, and all that is outside of it, stay as they are. The module
keeps its attributes, and its class becomes a subclass of what it was, with the new `forward`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from spdbuild.conversion.foreign.layers import KINDS, Left
from spdbuild.conversion.foreign.state import kept
from spdbuild.errors import first_line

_MAX_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
#: Functions -> what they compute, and their parameters in order.
_FUNCTIONS: dict[Any, tuple[str, tuple[str, ...]]] = {
    F.max_pool2d: ("max_pool2d", _MAX_POOL),
    torch.max_pool2d: ("max_pool2d", _MAX_POOL),
    F.avg_pool2d: ("avg_pool2d", _AVG_POOL),
    torch.conv2d: ("conv2d", _CONVOLUTION),
}


class Forward:
    """The traced `forward` of one module.

    sites: its strided functions, and its calls of the layers in `shared`, in the order in which they run.
    """

    def __init__(self, module: nn.Module, shared: Collection[nn.Module] = ()) -> None:
        """Trace the module; Left if torch.fx cannot, or if the trace would not hold for every call."""
        self.module = module
        self.graph = _trace(module)
        self.sites = [node for node in self.graph.nodes if self._is_site(node, shared)]
        self._kind = type(module)

    def computes(self, site: fx.Node) -> str:
        """conv2d, max_pool2d or avg_pool2d."""
        if site.op == "call_module":
            return KINDS[next(known for known in KINDS if isinstance(self.layer(site), known))]
        return _FUNCTIONS[site.target][0]

    def layer(self, site: fx.Node) -> nn.Module:
        """The strided layer that computes what `site` does; Left if there is none."""
        if site.op == "call_module":
            return self.module.get_submodule(str(site.target))
        given = _arguments(site)
        del given["input"]
        if self.computes(site) == "conv2d":
            return self._convolution(given)
        _check_numbers(given)
        return next(kind for kind, what in KINDS.items() if what == self.computes(site))(**given)

    def name(self, site: fx.Node) -> str:
        """A name for the layer in place of `site` that is still free in the module."""
        base = str(site.target).rpartition(".")[2] if site.op == "call_module" else self.computes(site)
        number = 1 + [other.target for other in self.sites[: self.sites.index(site)]].count(site.target)
        name = base if number == 1 else f"{base}_{number}"
        while hasattr(self.module, name):
            name += "_"
        return name

    def replace(self, site: fx.Node, name: str, layer: nn.Module) -> None:
        """Let the module call `layer`, which it gets under `name`, in place of `site`."""
        layer.training = self.module.training
        self.module.add_module(name, layer)
        with self.graph.inserting_before(site):
            call = self.graph.call_module(name, (_arguments(site)["input"],))
        site.replace_all_uses_with(call)
        self.graph.erase_node(site)
        self._drop_unread_parameters()
        self.module.__class__ = _subclass(self._kind, self.graph)

    def _is_site(self, node: fx.Node, shared: Collection[nn.Module]) -> bool:
        if node.op == "call_module":
            return self.module.get_submodule(str(node.target)) in shared
        if node.op != "call_function" or node.target not in _FUNCTIONS:
            return False
        given = _arguments(node)
        stride = given.get("stride") or given.get("kernel_size", 1)
        numbers = stride if isinstance(stride, list | tuple) else [stride]
        return any(not isinstance(number, int) or number > 1 for number in numbers)

    def _convolution(self, given: dict[str, Any]) -> nn.Conv2d:
        read = given.pop("weight")
        weight, bias = self._parameter(read), self._parameter(given.pop("bias", None))
        _check_numbers(given)
        assert weight is not None
        if self._readers(read.target) > 1:
            raise Left("its weight is read in more than one place of its forward")
        channels = weight.shape[1] * given.get("groups", 1)
        size = (weight.shape[2], weight.shape[3])
        layer = nn.Conv2d(channels, len(weight), size, bias=bias is not None, device="meta", **given)
        layer.weight, layer.bias = weight, bias
        return layer

    def _parameter(self, node: fx.Node | None) -> nn.Parameter | None:
        if node is not None and (node.op != "get_attr" or str(node.target) not in self.module._parameters):
            raise Left("its weight is computed while it runs")
        return None if node is None else self.module.get_parameter(str(node.target))

    def _readers(self, target: fx.node.Target) -> int:
        """How many operations read an attribute."""
        reads = (node for node in self.graph.nodes if node.op == "get_attr" and node.target == target)
        return sum(len(node.users) for node in reads)

    def _drop_unread_parameters(self) -> None:
        """Remove the parameters that only a replaced function read: its layer has them now."""
        for node in reversed(list(self.graph.nodes)):
            if node.op == "get_attr" and not node.users:
                self.graph.erase_node(node)
                if not any(other.op == "get_attr" and other.target == node.target for other in self.graph.nodes):
                    self.module._parameters.pop(str(node.target), None)


def _arguments(site: fx.Node) -> dict[str, Any]:
    names = ("input",) if site.op == "call_module" else _FUNCTIONS[site.target][1]
    return dict(zip(names, site.args, strict=False)) | dict(site.kwargs)


def _check_numbers(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if any(isinstance(number, fx.Node) for number in (value if isinstance(value, list | tuple) else [value])):
            raise Left(f"its {name} is computed while it runs")


class _OneForward(fx.Tracer):
    # What is done to a buffer is then part of the graph.
    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self.modes = _modes()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if _modes() != self.modes:
            raise Left("torch.fx would lose that its forward switches gradients or autocast")
        return super().create_node(*args, **kwargs)


def _modes() -> tuple[bool, ...]:
    autocast = (torch.is_autocast_enabled(device) for device in ("cpu", "cuda"))
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast


def _trace(module: nn.Module) -> fx.Graph:
    """The graph of a `forward` that is the same in training and evaluation, and for every call."""
    if isinstance(module, torch.jit.ScriptModule):
        raise Left("it is TorchScript, which torch.fx cannot follow")
    for parameter in inspect.signature(module.forward).parameters.values():
        if parameter.default is not parameter.empty:
            raise Left(f"torch.fx would fix the optional argument '{parameter.name}' of its forward")
    training = module.training
    try:
        graphs = [_traced(module, mode) for mode in (True, False)]
    finally:
        module.training = training
    if str(graphs[0]) != str(graphs[1]):
        raise Left("its forward does something else in training than in evaluation")
    return graphs[1]


def _traced(module: nn.Module, training: bool) -> fx.Graph:
    module.training = training
    with kept(module) as state:
        try:
            graph = _OneForward().trace(module)
        except Left:
            raise
        except Exception as error:  # whatever third-party code raises when it meets a tensor without numbers
            raise Left(f"torch.fx cannot follow its forward: {first_line(error)}") from None
        changed = state.changed()
    if changed.startswith("_tensor_constant"):
        raise Left("torch.fx would fix a tensor that its forward makes")
    if changed:
        raise Left(f"its forward changes the attribute '{changed}'")
    return graph


def _subclass(kind: type[nn.Module], graph: fx.Graph) -> type[nn.Module]:
    """`kind` with the code of `graph` as its forward."""
    code = graph.python_code("self")
    names: dict[str, Any] = dict(code.globals)
    exec(compile(code.src, f"<forward of {kind.__qualname__}, converted>", "exec"), names)
    forward: Callable[..., Any] = names["forward"]
    forward.__doc__ = f"The forward of {kind.__qualname__}, with layers in the place of strided functions."
    return type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
