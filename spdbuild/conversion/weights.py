"""Weights of an architecture before and after its conversion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spdbuild.conversion.report import ConversionReport
from spdbuild.errors import WeightsError
from spdbuild.graph import Graph
from spdbuild.modules import compile_graph
from spdbuild.weight_transfer import carry_over
from spdbuild.weight_transfer.carry_over import by_layer

if TYPE_CHECKING:
    from torch import Tensor


def transfer(report: ConversionReport, state_dict: Mapping[str, Tensor], *, lossy: bool = False) -> dict[str, Tensor]:
    """The weights with which the converted network computes what the old one does with `state_dict`.

    All layers are exact except replacements of max pools, which start as a mean (`spdbuild convert --calibrate` fits
    them on images), and of average pools whose windows at the border divide by fewer pixels; the report says which.
    The names are those of the written file.

    lossy: if a kernel is too small for the taps of the strided one, drop those that do not fit.
    Raises PassError, naming the layer, where the function cannot be kept, and WeightsError for a tensor whose
    shape is not that of the old network.
    """
    for name, tensor in compile_graph(report.before, "meta").state_dict().items():
        if name in state_dict and state_dict[name].shape != tensor.shape:
            needed, given = tuple(tensor.shape), tuple(state_dict[name].shape)
            raise WeightsError(f"'{name}' of {report.before.name} has the shape {needed}, and its weight {given}")
    return renamed(report.after, report.names, carry_over(report.before, report.after, state_dict, lossy=lossy))


def fit_converted_pools(
    report: ConversionReport,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    images: Iterable[Tensor],
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """`after` with replacements of max pools fitted on images, and the residual of each layer (see `fit_pools`).

    before, after: weights of the two networks, `after` as `transfer` gives it.
    images: batches of inputs of the old network.
    """
    from spdbuild.conversion.pool_fitting import fit_pools

    old, new = compile_graph(report.before), compile_graph(report.after)
    old.load_state_dict(before)
    names, owned = report.names, by_layer(report.after, new.state_dict())
    keys = ((layer, name) for layer, tensors in owned.items() for name in tensors)
    new.load_state_dict({f"{layer}.{name}": after[f"{names[layer]}.{name}"] for layer, name in keys})
    residuals = fit_pools(old, new, images)
    return renamed(report.after, names, new.state_dict()), residuals


def renamed(graph: Graph, names: Mapping[str, str], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `graph` under other names of its layers, old name -> new name."""
    return {
        f"{names[layer]}.{name}": tensor
        for layer, tensors in by_layer(graph, weights).items()
        for name, tensor in tensors.items()
    }
