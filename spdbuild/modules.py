"""Graph -> torch.nn.Module."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from spdbuild.errors import InputError
from spdbuild.graph import Graph, Input, Node, Output

if TYPE_CHECKING:
    import torch
    from torch import fx, nn

#: More parameters than this are taken for a typo: 10^11 of them need 400 GB.
MAX_PARAMETERS = 10**11


def compile_graph(graph: Graph, device: str | torch.device | None = None, seed: int | None = None) -> nn.Module:
    """An ordinary torch module whose sub-modules have the names of the nodes.

    The module is a torch.fx.GraphModule: its `forward` is plain Python code (`model.print_readable()`), which
    torch.compile, torch.export, deepcopy and DDP handle like any other. It takes the graph's inputs, each
    (N, C, H, W), in order, and returns its output, or a list where there are several. Each has a class of its own, so
    torch.func.stack_module_state refuses several: stack the entries of their state_dicts by name, and call one of them
    with torch.func.functional_call.

    device: "meta" makes the module without memory for its weights.
    seed: if given, each layer draws its first weights from a generator of its own (see `layer_seed`), so that networks
        that share a layer by name share its weights, whatever else they consist of. Torch's global generator is left
        at the last of them.
    Raises InputError for a network too large for any machine.
    """
    import torch
    from torch import fx

    if graph.parameters > MAX_PARAMETERS:
        raise InputError(
            f"{graph.name} has {graph.parameters:,} parameters, more than the {MAX_PARAMETERS:,} that are built",
            hint="check widths and repeats with `spdbuild summary`",
        )
    root = torch.nn.Module()
    code = fx.Graph()
    values: dict[str, fx.Node] = {}
    with torch.device(device or torch.get_default_device()):
        for node in graph:
            if isinstance(node.op, Input):
                values[node.name] = code.placeholder(node.name)
                continue
            if seed is not None:
                torch.default_generator.manual_seed(layer_seed(seed, node.name))
            _place(root, node.name, node.op.module(*node.input_shapes))
            arguments = tuple(_read(code, graph, values, output) for output in node.inputs)
            values[node.name] = code.call_module(node.name, arguments)
    outputs = [_read(code, graph, values, output) for output in graph.outputs]
    code.output(outputs[0] if len(outputs) == 1 else outputs)
    model = fx.GraphModule(root, code, class_name=_class_name(graph.name))
    model.train()
    return model


def layer_seed(seed: int, name: str) -> int:
    """What seeds the first weights of the layer `name` in a run or network with `seed`."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _place(root: nn.Module, name: str, module: nn.Module) -> None:
    """Put `module` below `root` at a dotted name, adding plain modules on the way."""
    from torch import nn

    parent = root
    *path, leaf = name.split(".")
    for part in path:
        if part not in parent._modules:
            parent.add_module(part, nn.Module())
        parent = parent._modules[part]  # type: ignore[assignment]
    parent.add_module(leaf, module)


def _read(code: fx.Graph, graph: Graph, values: dict[str, fx.Node], output: Output) -> fx.Node:
    import operator

    value = values[output.node]
    node: Node = graph[output.node]
    return code.call_function(operator.getitem, (value, output.index)) if len(node.shapes) > 1 else value


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
