"""Graph -> the flat form of the YAML language: one named line per node."""

from __future__ import annotations

from spdbuild.graph.graph import Graph
from spdbuild.graph.node import Input, Output


def graph_text(graph: Graph) -> str:
    """An architecture file without blocks, vars or variants that expands to `graph`.

    A node `stage1.first.relu` becomes the line `stage1_first_relu`, because the names of lines have no dots: the graph
    that is read back is otherwise the same.
    """
    names = flat_names(graph)
    inputs = ", ".join(f"{names[node.name]}: [{', '.join(map(str, node.shape))}]" for node in graph.inputs)
    lines = [f"model: {graph.name}", f"inputs: {{{inputs}}}", "layers:"]
    before = graph.inputs[0].name
    for node in graph.layers:
        reads = ", ".join(_reference(output, names) for output in node.inputs)
        arrow = "" if node.inputs == (Output(before),) else f" <- {reads}"
        lines.append(f"  - {names[node.name]}: {node.op}{arrow}")
        before = node.name
    if graph.outputs and {output.node for output in graph.outputs} != {before}:
        lines.insert(2, f"outputs: [{', '.join(_reference(output, names) for output in graph.outputs)}]")
    return "\n".join(lines) + "\n"


def flat_names(graph: Graph) -> dict[str, str]:
    """The names of the nodes in `graph_text`, which weights for that file must use too."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for node in graph:
        flat = node.name if isinstance(node.op, Input) else node.name.replace(".", "_")
        while flat in taken:
            flat += "_"
        taken.add(flat)
        names[node.name] = flat
    return names


def _reference(output: Output, names: dict[str, str]) -> str:
    return f"{names[output.node]}.{output.index}" if output.index else names[output.node]
