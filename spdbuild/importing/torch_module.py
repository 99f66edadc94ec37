"""`spdbuild.import_module`: a torch module -> an architecture in our language, and its weights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from spdbuild.errors import InputError, RunError
from spdbuild.graph import Graph, Output
from spdbuild.importing.blocks import Network, find_blocks
from spdbuild.importing.layers import rule_of
from spdbuild.importing.steps import Steps
from spdbuild.importing.tracing import trace
from spdbuild.importing.translate import translate
from spdbuild.importing.tree import module_tree
from spdbuild.loading import Architecture, choose, read_document
from spdbuild.modules import compile_graph
from spdbuild.source import Source

if TYPE_CHECKING:
    from spdbuild.graph import Node

#: Relative error that an import may have: the same operations in the same order differ in nothing but rounding.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Imported:
    """A network in our language.

    weights: the state_dict of the module that `spdbuild.build` makes of it.
    unused: entries of the module's own state_dict that its evaluation does not read.
    """

    architecture: Architecture
    weights: dict[str, Tensor]
    unused: tuple[str, ...]


def import_module(module: nn.Module, example: Tensor, name: str | None = None, source: str = "") -> Imported:
    """The network that `module` computes in evaluation, with blocks where modules repeat, and its weights.

    example: one input (N, C, H, W). name: of the architecture. source: what the file says about where it is from.
    Raises InputError where torch.fx cannot follow the module, or our language has no op for what it does.
    """
    # A layer by itself is traced as the only part of a module.
    steps = translate(trace(nn.Sequential(module) if rule_of(module) else module, example))
    if not steps.steps or not steps.outputs:
        raise InputError(f"{type(module).__name__} computes nothing that could be imported")
    title = re.sub(r"\W+", "_", name or type(module).__name__).strip("_").lower()
    for flat in (False, True):
        text = _text(title, source, steps, find_blocks(steps, module_tree(steps, flat=flat)))
        architecture = choose(read_document(Source(f"{title}.yaml", text)))
        if _agrees(architecture.graph, steps):
            break
    else:
        raise AssertionError("a network without blocks is written line by line")
    weights = {
        f"{node.name}.{key}": tensor
        for node, step in zip(architecture.graph.layers, steps.steps, strict=True)
        for key, tensor in step.weights.items()
    }
    return Imported(architecture, weights, _unused(module, weights))


def check_import(imported: Imported, module: nn.Module, example: Tensor) -> float:
    """The greatest difference between the outputs of both on the example, relative to the greatest output.

    Raises RunError where they are not the same: then the import has a mistake.
    """
    model = compile_graph(imported.architecture.graph, "meta")
    model.load_state_dict(imported.weights, assign=True)
    model.eval()
    was_training = module.training
    with torch.no_grad():
        old, new = _outputs(module.eval()(example)), _outputs(model(example))
    module.train(was_training)
    error = max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-30)) for a, b in zip(old, new, strict=True))
    if not error < TOLERANCE:
        raise RunError(f"the imported network computes something else: relative error {error:.1e}")
    return error


def _outputs(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def _text(title: str, source: str, steps: Steps, network: Network) -> str:
    inputs = ", ".join(f"{name}: [{', '.join(map(str, shape))}]" for name, shape in steps.inputs.items())
    lines = [f"model: {title}", *([f'source: "{source}"'] if source else []), f"inputs: {{{inputs}}}"]
    if network.outputs:
        lines.append(f"outputs: [{', '.join(network.outputs)}]")
    if network.blocks:
        lines += ["", "blocks:"]
    for number, block in enumerate(network.blocks):
        head = f"  {block.name}({', '.join(block.parameters)}):"
        lines += [*([""] if number else []), head, *(f"    - {line}" for line in block.lines)]
    return "\n".join([*lines, "", "layers:", *(f"  - {line}" for line in network.lines), ""])


def _agrees(graph: Graph, steps: Steps) -> bool:
    """Whether the graph that was read has the very steps, in their order."""
    names = [node.name for node in graph.layers]
    inputs = [node.name for node in graph.inputs]
    if len(names) != len(steps.steps):
        return False

    def output(place: tuple[int, int]) -> Output:
        return Output(names[place[0]] if place[0] >= 0 else inputs[-1 - place[0]], place[1])

    def same(node: Node, number: int) -> bool:
        step = steps.steps[number]
        return (node.op, node.inputs, node.shapes) == (step.op, tuple(map(output, step.reads)), step.shapes)

    agreeing = all(same(node, number) for number, node in enumerate(graph.layers))
    return agreeing and graph.outputs == tuple(map(output, steps.outputs))


def _unused(module: nn.Module, weights: dict[str, Tensor]) -> tuple[str, ...]:
    used = {tensor.data_ptr() for tensor in weights.values()}
    return tuple(
        name for name, tensor in module.state_dict().items() if tensor.numel() and tensor.data_ptr() not in used
    )
