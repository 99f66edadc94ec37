"""Graph -> the flat form of the YAML language: one named line per node."""

from __future__ import annotations

import os
from pathlib import Path

from spdbuild.graph.graph import Graph
from spdbuild.graph.node import Input, Output
from spdbuild.text.yaml_text import inline


def graph_text(graph: Graph, folder: Path | None = None) -> str:
    """An architecture file without blocks, vars or variants that expands to `graph`.

    folder: where the file will be; it names the Python files of its ops relative to this, or by absolute paths.

    A node `stage1.first.relu` becomes the line `stage1_first_relu`, because the names of lines have no dots: the graph
    that is read back is otherwise the same.
    """
    names, last = flat_names(graph), list(graph)[-1]
    inputs = ", ".join(f"{names[node.name]}: [{', '.join(map(str, node.shape))}]" for node in graph.inputs)
    lines = [f"model: {graph.name}", f"inputs: {{{inputs}}}"]
    if graph.imports:
        lines.append(f"imports: {inline([import_name(entry, folder) for entry in graph.imports])}")
    if graph.outputs and {output.node for output in graph.outputs} != {last.name}:
        lines.append(f"outputs: [{', '.join(_reference(output, names) for output in graph.outputs)}]")
    lines.append("layers:")
    before = graph.inputs[0].name
    for node in graph.layers:
        reads = ", ".join(_reference(output, names) for output in node.inputs)
        arrow = "" if node.inputs == (Output(before),) else f" <- {reads}"
        lines.append(f"  - {names[node.name]}: {node.op}{arrow}")
        before = node.name
    return "\n".join(lines) + "\n"


def import_name(entry: Path | str, folder: Path | None) -> str:
    """An entry of `Graph.imports` as a file in `folder` names it; without a folder, a file by its absolute path."""
    if isinstance(entry, str) or folder is None:
        return str(entry)
    # Paths under `imports:` follow symbolic links, as the absolute path has done already.
    return os.path.relpath(entry, folder.resolve())


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
