"""Fold batch normalization into the convolution before it, for deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from spdbuild.graph import Graph, Node
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.normalization import BatchNorm
from spdbuild.ops.spd import SpdConv2d
from spdbuild.passes.graph_pass import PASSES, Change, GraphPass

if TYPE_CHECKING:
    from torch import Tensor


@PASSES.register
@dataclass(frozen=True)
class FuseConvNorm(GraphPass):
    """Merge a convolution and the batch normalization after it into one convolution.

    In evaluation a norm is y = (x - mean) * scale + shift with scale = weight / sqrt(variance + epsilon), channel by
    channel. With x = w * input + b this is a convolution again: weight w * scale, bias (b - mean) * scale + shift.

    1. A convolution (strided or SPD) that only a batch norm reads: the norm is removed, the convolution gets a bias.
    2. A convolution that something else reads too, or that is an output of the network, stays.

    The fused network is for evaluation, because a norm that was removed cannot learn: recipes refuse the pass.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks", arXiv:1712.05877, section 3.2.
    """

    preserves_output: ClassVar[bool] = True
    for_training: ClassVar[bool] = False

    def apply(self, graph: Graph) -> list[Change]:
        changes = []
        for node in graph.layers:
            if isinstance(node.op, BatchNorm):
                changes.append(_fused(graph, graph[node.name]))
        return changes

    def transfer(
        self, before: Graph, after: Graph, changes: Sequence[Change], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Multiply every removed norm into its convolution, in float64."""
        fused = dict(weights)
        for change in changes:
            if change.anchor and isinstance(change.before, BatchNorm):
                _multiply(change.before, change.name, change.anchor, fused)
        return fused


def _multiply(op: BatchNorm, norm: str, conv: str, weights: dict[str, Tensor]) -> None:
    import torch

    mean, variance = weights.pop(f"{norm}.running_mean"), weights.pop(f"{norm}.running_var")
    weights.pop(f"{norm}.num_batches_tracked", None)
    scale = (variance.double() + op.epsilon).rsqrt()
    shift = torch.zeros_like(scale)
    if op.affine:
        scale = scale * weights.pop(f"{norm}.weight").double()
        shift = weights.pop(f"{norm}.bias").double()
    weight = weights[f"{conv}.weight"]
    bias = weights.get(f"{conv}.bias", torch.zeros_like(mean)).double()
    weights[f"{conv}.weight"] = (weight.double() * scale.reshape(-1, 1, 1, 1)).to(weight.dtype)
    weights[f"{conv}.bias"] = ((bias - mean.double()) * scale + shift).to(weight.dtype)


def _fused(graph: Graph, norm: Node) -> Change:
    conv = graph[norm.inputs[0].node]
    if not isinstance(conv.op, Conv2d | SpdConv2d):
        return Change.kept(norm, f"it reads {conv.op.name}, not a convolution")
    if len(graph.users(conv.name)) > 1 or graph.is_output(conv.name):
        return Change.kept(norm, f"{conv.name} has other readers")
    fused = replace(conv.op, bias=True)
    graph.replace_op(conv.name, fused)
    graph.remove(norm.name)
    return Change.of(norm, fused, anchor=conv.name)
