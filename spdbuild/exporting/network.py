"""A trained network to export: its weights, its outputs, and the module that is written."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, fx, nn

from spdbuild.errors import ArgumentError, WeightsError
from spdbuild.exporting.half import to_half
from spdbuild.exporting.limits import Precision
from spdbuild.graph import Graph, Output
from spdbuild.modules import compile_graph
from spdbuild.nn.detection import Detect as DetectModule
from spdbuild.ops.detection import Detect
from spdbuild.training.trained.stored_graph import StoredGraph
from spdbuild.weights import StoredWeights

#: The output of a detector whose boxes are decoded, and that of a classifier.
DETECTIONS, LOGITS = "detections", "logits"


def trained_weights(network: StoredGraph) -> tuple[dict[str, Tensor], StoredWeights | None]:
    """The weights of a network, and where in a file they were; WeightsError where there are none that fit."""
    weights, source = network.find_weights()
    if weights is None:
        message = f"only a trained network is worth a file, and {network.graph.name} comes without weights"
        hint = "give them with --weights (from Python: weights=...), or name the folder of a run"
        raise WeightsError(message, hint=hint)
    return weights, source


def head_of_graph(graph: Graph) -> str | None:
    """Name of the detection head whose maps, all of them and in order, are the network's outputs; else None."""
    heads = [node for node in graph.layers if isinstance(node.op, Detect)]
    if len(heads) != 1:
        return None
    (head,) = heads
    maps = [Output(head.name, index) for index in range(len(head.shapes))]
    return head.name if list(graph.outputs) == maps else None


def decoded_head(graph: Graph, raw: bool) -> str | None:
    """Name of the head whose maps are to become boxes; ArgumentError for raw maps of a network that has none."""
    head = head_of_graph(graph)
    if raw and head is None:
        message = f"{graph.name} is no detector, so what it gives is never decoded"
        raise ArgumentError(message, argument="raw", hint="leave raw out")
    return None if raw else head


def output_names(graph: Graph, head: str | None) -> tuple[str, ...]:
    """The names of the outputs in the file. head: the one whose boxes are decoded, if any."""
    if head is not None:
        return (DETECTIONS,)
    if len(graph.outputs) == 1 and len(graph.shape_of(graph.outputs[0])) == 1:
        return (LOGITS,)
    names = (output.node.replace(".", "_") for output in graph.outputs)
    if len(graph.outputs) == 1:
        return tuple(names)
    return tuple(f"{name}_{output.index}" for name, output in zip(names, graph.outputs, strict=True))


def module_of(
    graph: Graph, weights: Mapping[str, Tensor], head: str | None, precision: Precision = "fp32"
) -> nn.Module:
    """The network in evaluation mode with its weights; the maps of `head` are decoded at its end."""
    model = compile_graph(graph)
    assert isinstance(model, fx.GraphModule)
    model.load_state_dict(weights)
    if precision == "fp16":
        to_half(model)
    if head is not None:
        _decode(model, head)
    return model.eval().requires_grad_(False)


class _Decoded(nn.Module):
    """Decodes a head's maps, one per level, into detections (N, boxes, 5 + K)."""

    def __init__(self, head: DetectModule) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: list[Tensor]) -> Tensor:
        return self.head.decode(maps)


def _decode(model: fx.GraphModule, head: str) -> None:
    module = model.get_submodule(head)
    assert isinstance(module, DetectModule)
    model.add_module(DETECTIONS, _Decoded(module))
    (output,) = (node for node in model.graph.nodes if node.op == "output")
    maps = output.args[0]
    with model.graph.inserting_before(output):
        detections = model.graph.call_module(DETECTIONS, ([maps] if isinstance(maps, fx.Node) else maps,))
    output.args = (detections,)
    model.recompile()
