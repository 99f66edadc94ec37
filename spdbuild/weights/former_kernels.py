"""Weights of networks that spd_kernel="same" made before it was exact for kernels of whole blocks."""

from __future__ import annotations

from spdbuild.graph import Graph
from spdbuild.ops.spd import SpdConv2d
from spdbuild.shape import pair
from spdbuild.weights.report import Report


def former_kernels_hint(report: Report, graph: Graph) -> str:
    """How to get the network of a file in which SPD-Conv layers have more blocks than "same" makes; else empty."""
    ops = {f"{node.name}.weight": (node.name, node.op) for node in graph if isinstance(node.op, SpdConv2d)}
    former: dict[str, int] = {}
    for entry in report.having("mismatch"):
        layer, op = ops.get(entry.name or "", ("", None))
        if op is None or op.spd_kernel != "same" or entry.shape is None:
            continue
        height, width = pair(op.kernel)
        if height == width and entry.their_shape == (*entry.shape[:2], height, width):
            former[layer] = height
    if not former:
        return ""
    kernels = ", ".join(f"'{layer}={kernel}'" for layer, kernel in former.items())
    layer, kernel = next(iter(former.items()))
    return (
        f"it was trained before `same` became exact for whole blocks: kernels=[{kernels}] in strided_to_spd gives that "
        f"network, and so does spd_kernel={kernel} in place of \"same\" at '{layer}' in its architecture.yaml"
    )
