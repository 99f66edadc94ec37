"""Graph -> parameters, multiply-accumulates, activation memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

from spdbuild.graph import Graph, Node
from spdbuild.wording.quantities import memory, scaled, shapes_text, share
from spdbuild.wording.tables import Table


@dataclass(frozen=True)
class LayerCost:
    """One layer: its shapes without the batch, trainable parameters, and multiply-accumulates of one sample."""

    name: str
    op: str
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    macs: int

    @property
    def elements(self) -> int:
        """Numbers in the layer's outputs."""
        return sum(map(math.prod, self.shapes))


@dataclass(frozen=True)
class Summary:
    """What a network costs for one sample of the given input.

    MACs count one multiply-accumulate of convolutions and linear layers as 1, and nothing else; FLOPs are 2 x MACs.
    activation_elements: number of values in all outputs together, which training keeps for the backward pass.
    peak_elements: largest number of values alive at once in inference, if each output is freed after its last reader.
    """

    name: str
    inputs: tuple[tuple[int, ...], ...]
    layers: tuple[LayerCost, ...]
    activation_elements: int
    peak_elements: int

    def __str__(self) -> str:
        return ", ".join(
            [
                f"{len(self.layers)} nodes",
                f"{self.parameters:,} parameters",
                scaled(self.macs, "MACs"),
                scaled(self.flops, "FLOPs"),
                f"activations {memory(self.activation_elements)} (fp32)",
                f"peak {memory(self.peak_elements)}",
            ]
        )

    def __repr__(self) -> str:
        return f"Summary({self.name}: {self})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the totals, and a row for each layer."""
        numbers = ("parameters", "MACs", "share")
        table = Table(("layer", "op", "output", *numbers), numbers)
        for layer in self.layers:
            parameters = f"{layer.parameters:,}" if layer.parameters else ""
            macs = (scaled(layer.macs), share(layer.macs, self.macs)) if layer.macs else ("", "")
            table.add(layer.name, layer.op, shapes_text(layer.shapes), parameters, *macs)
        return f"<p>{escape(f'{self.name}: {self}')}</p>\n{table.html()}"

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable_parameters(self) -> int:
        """All parameters: a network as built freezes none."""
        return self.parameters

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def flops(self) -> int:
        return 2 * self.macs

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild summary --json` prints."""
        return {
            "name": self.name,
            "input": list(self.inputs[0]) if len(self.inputs) == 1 else [list(shape) for shape in self.inputs],
            "params": self.parameters,
            "trainable_params": self.trainable_parameters,
            "macs": self.macs,
            "flops": self.flops,
            "activation_elements": self.activation_elements,
            "peak_elements": self.peak_elements,
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "inputs": list(layer.inputs),
                    "shape": _shape_of(layer),
                    "params": layer.parameters,
                    "macs": layer.macs,
                }
                for layer in self.layers
            ],
        }


def summarize(graph: Graph) -> Summary:
    """The costs of every layer of `graph`, computed without making a tensor."""
    layers = tuple(_layer_cost(node) for node in graph.layers)
    inputs = tuple(tuple(node.shape) for node in graph.inputs)
    return Summary(graph.name, inputs, layers, sum(layer.elements for layer in layers), _peak(graph))


def _layer_cost(node: Node) -> LayerCost:
    shapes = tuple(tuple(shape) for shape in node.shapes)
    return LayerCost(node.name, node.op.name, tuple(map(str, node.inputs)), shapes, node.parameters, node.macs)


def _shape_of(layer: LayerCost) -> list[Any]:
    return list(layer.shapes[0]) if len(layer.shapes) == 1 else [list(shape) for shape in layer.shapes]


def _peak(graph: Graph) -> int:
    last_use = {output.node: node.name for node in graph for output in node.inputs}
    kept = {output.node for output in graph.outputs}
    size = {node.name: sum(shape.elements for shape in node.shapes) for node in graph}
    alive = peak = 0
    for node in graph:
        alive += size[node.name]
        peak = max(peak, alive)
        read = {output.node for output in node.inputs} - kept
        alive -= sum(size[name] for name in read if last_use[name] == node.name)
    return peak
