"""Seconds that layers and networks take on this machine, for one sample in single precision on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spdbuild.graph import Graph, Input, Node
from spdbuild.modules import compile_graph
from spdbuild.system.timing import take_turns

if TYPE_CHECKING:
    from torch import nn

    from spdbuild.ops import Op
    from spdbuild.shape import Shape

#: Seconds for which each layer, and each network, is timed.
LAYER_SECONDS, NETWORK_SECONDS = 0.05, 1.0


class LayerTimer:
    """A meter that times a node alone; equal ops on equal shapes are timed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Op, tuple[Shape, ...]], float] = {}

    def __call__(self, node: Node) -> float:
        key = node.op, node.input_shapes
        if isinstance(node.op, Input):
            return 0.0
        if key not in self._known:
            call = _call(node.op.module(*node.input_shapes), node.input_shapes)
            (times,) = take_turns([call], seconds=LAYER_SECONDS)
            self._known[key] = times.median
        return self._known[key]


def network_seconds(graphs: Sequence[Graph]) -> list[float]:
    """Median seconds of each network; they take turns."""
    calls = [_call(compile_graph(graph), [node.shape for node in graph.inputs]) for graph in graphs]
    return [times.median for times in take_turns(calls, seconds=NETWORK_SECONDS)]


def _call(module: nn.Module, shapes: Sequence[Shape]) -> Callable[[], object]:
    import torch

    module.eval()
    inputs = [torch.randn(1, *shape) for shape in shapes]

    def call() -> object:
        with torch.inference_mode():
            return module(*inputs)

    return call
