"""`spdbuild.import_module`: a torch module -> an architecture in our language, and its weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

from spdbuild.analysis.watching import ALONE, check_module
from spdbuild.errors import InputError
from spdbuild.graph import Graph, Output
from spdbuild.importing.blocks import Network, find_blocks
from spdbuild.importing.checking import check_import, state_of
from spdbuild.importing.layers import rule_of
from spdbuild.importing.steps import Steps
from spdbuild.importing.tracing import trace
from spdbuild.importing.translate import translate
from spdbuild.importing.tree import module_tree
from spdbuild.loading import Architecture, choose, read_document
from spdbuild.text.source import Source

if TYPE_CHECKING:
    from spdbuild.graph import Node


@dataclass(frozen=True)
class Imported:
    """A network in our language.

    weights: the state_dict of the module that `spdbuild.build` makes of it, in memory of its own.
    unused: entries of the module's own state_dict that its evaluation does not read.
    error: greatest difference between the outputs of both with the same random weights and input, divided by the
        greatest output; no more than rounding, or it would not have been imported.
    """

    architecture: Architecture
    weights: dict[str, Tensor] = field(repr=False)
    unused: tuple[str, ...]
    error: float


def import_module(module: nn.Module, example: Tensor, name: str | None = None, source: str = "") -> Imported:
    """The network that `module` computes in evaluation, with blocks where modules repeat, and its weights.

    example: one input (N, C, H, W). name: of the architecture. source: what the file says about where it is from.
    While it works, no other thread may run a module: torch.fx would take it for a part of this one.

    Raises InputError where torch.fx cannot follow the module, our language has no op for what it does, or the network
    that was written computes something else.
    """
    if not isinstance(example, Tensor):
        raise InputError(
            f"an import needs one image (N, C, H, W) as its example, got a {type(example).__name__}",
            hint="networks of several inputs cannot be imported; spdbuild.convert_module takes them",
        )
    check_module(module)
    with ALONE:
        return _imported(module, example, name, source)


def _imported(module: nn.Module, example: Tensor, name: str | None, source: str) -> Imported:
    # A layer by itself is traced as the only part of a module.
    root = nn.Sequential(module) if rule_of(module) else module
    traced = trace(root, example)
    steps = translate(traced)
    if not steps.steps or not steps.outputs:
        raise InputError(f"{type(module).__name__} computes nothing that could be imported")
    title = _title(name or type(module).__name__)
    for flat in (False, True):
        text = _text(title, source, steps, find_blocks(steps, module_tree(steps, flat=flat)))
        architecture = choose(read_document(Source(f"{title}.yaml", text)))
        if _agrees(architecture.graph, steps):
            break
    else:
        raise AssertionError("a network without blocks is written line by line")
    weights = state_of(architecture.graph, steps)
    error = check_import(architecture.graph, traced, root, example)
    return Imported(architecture, weights, _unused(traced.module, weights), error)


def _title(name: str) -> str:
    """A name as the language allows it: `2nd Net` becomes network_2nd_net."""
    words = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    return words if words[:1].isalpha() else f"network_{words}".rstrip("_")


def _text(title: str, source: str, steps: Steps, network: Network) -> str:
    inputs = ", ".join(f"{name}: [{', '.join(map(str, shape))}]" for name, shape in steps.inputs.items())
    lines = [f"model: {title}", *([f"source: {_quoted(source)}"] if source else []), f"inputs: {{{inputs}}}"]
    if network.outputs:
        lines.append(f"outputs: [{', '.join(network.outputs)}]")
    if network.blocks:
        lines += ["", "blocks:"]
    for number, block in enumerate(network.blocks):
        head = f"  {block.name}({', '.join(block.parameters)}):"
        lines += [*([""] if number else []), head, *(f"    - {line}" for line in block.lines)]
    return "\n".join([*lines, "", "layers:", *(f"  - {line}" for line in network.lines), ""])


def _quoted(text: str) -> str:
    """A text as YAML; JSON's quotes and escapes are YAML's, too."""
    return json.dumps(text, ensure_ascii=False)


def _agrees(graph: Graph, steps: Steps) -> bool:
    """Whether the graph that was read has exactly these steps, in order."""
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
