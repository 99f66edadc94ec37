"""Whether a module still computes what it did, now that SPD-Conv is in it.

The `forward` of others may hold a layer where its parents do not, or read its numbers: then a layer that is exact by
itself is not enough.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from spdbuild.agreement import greatest, relative_error
from spdbuild.conversion.foreign.observing import Observation, address, observe
from spdbuild.conversion.foreign.sites import Site
from spdbuild.errors import InputError, PassError, first_line
from spdbuild.phrases import some

#: Precision of TensorFloat-32, in which NVIDIA's GPUs compute convolutions of float32 unless they are told not to.
_TF32_EPS = 2.0**-10


def observe_again(module: nn.Module, arguments: tuple[Any, ...], new: Sequence[tuple[Site, nn.Module]]) -> Observation:
    """What the module computes with new layers in the places of these sites.

    Raises PassError if it does not run any more, if a new layer does not run where the old one did, or if an old one
    still runs.
    """
    try:
        observed = observe(module, arguments)
    except InputError as error:
        what = (
            f"{type(module).__name__} does not run any more with SPD-Conv in it: {first_line(error.__cause__ or error)}"
        )
        raise _reads_what_was_replaced(what, [site for site, _ in new]) from error
    weights = {call.weight for call in observed.calls} - {0}
    for site, layer in new:
        if site.calls and layer not in observed.ran:
            raise _held_elsewhere(f"'{site.name}' was replaced, but the new layer does not run", site)
        old = site.layer
        # A pool that was split into places may run on in one that is kept.
        own = old is site.module and old in observed.ran
        if own or (isinstance(old, nn.Conv2d) and address(old.weight) in weights):
            raise _held_elsewhere(f"'{site.name}' was replaced, but the old layer still runs", site)
    return observed


def check_outputs(
    old: nn.Module,
    new: nn.Module,
    arguments: tuple[Any, ...],
    before: Observation,
    after: Observation,
    sites: list[Site],
) -> None:
    """PassError if the outputs differ by more than rounding although each of the new layers is exact.

    sites: the places of the new layers.
    """
    if not sites or not all(x.isfinite().all() for x in before.outputs if not x.is_meta):
        return
    error = output_error(before.outputs, after.outputs)
    if error is None or error <= _rounding(old, before.outputs):
        return
    error = _error_in_float64(old, new, arguments, error)
    if not error <= _rounding(old, before.outputs):
        what = f"with SPD-Conv in it {type(new).__name__} computes something else (relative error {error:.1e})"
        raise _reads_what_was_replaced(what, sites)


def output_error(before: list[Tensor], after: list[Tensor]) -> float | None:
    """The greatest relative error of any output (see `spdbuild.agreement`); None without any numbers."""
    if not before or before[0].is_meta:
        return None
    if [x.shape for x in before] != [x.shape for x in after]:
        return float("inf")
    return greatest(map(relative_error, before, after))


def _error_in_float64(old: nn.Module, new: nn.Module, arguments: tuple[Any, ...], error: float) -> float:
    """The error of outputs in float64: rounding can change which boxes a detector returns, there it is too small to.

    error: what to give for a module that does not run in float64.
    """
    precise = tree_map_only(Tensor, lambda x: x.double() if x.is_floating_point() else x, arguments)
    try:
        outputs = [observe(copy.deepcopy(module).double(), precise).outputs for module in (old, new)]
    except InputError:
        return error
    return output_error(*outputs) or 0.0


def _rounding(module: nn.Module, outputs: list[Tensor]) -> float:
    """The relative error that rounding alone can make: the root of the coarsest precision."""
    numbers = [x for x in (*module.parameters(), *outputs) if x.is_floating_point()]
    coarse = [_TF32_EPS for x in numbers if x.is_cuda and torch.backends.cudnn.allow_tf32]
    return math.sqrt(max([torch.finfo(x.dtype).eps for x in numbers] + coarse))


def _held_elsewhere(what: str, site: Site) -> PassError:
    return PassError(
        f"{what}: the network's own code holds it in a place that torch does not know, such as a list",
        hint=f"hold it in nn.ModuleList or call it by its attribute, or leave it as it is with keep=['{site.name}']",
    )


def _reads_what_was_replaced(what: str, sites: list[Site]) -> PassError:
    names = [site.name or "the module itself" for site in sites]
    which = "of" if len(names) == 1 else "of one of"
    search = "" if len(names) == 1 else "only=[NAME] tells whether it is this one; "
    return PassError(
        f"{what}: the network's own code reads the numbers or the weight {which} {some(names, 10)}",
        hint=f"{search}keep=['{sites[0].name}'] leaves a layer as it is",
    )
