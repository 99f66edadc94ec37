"""Check that a module with SPD-Conv in it still computes the same.

A third-party `forward` may hold a layer where its parents do not, or read its numbers: then a layer that is exact by
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

from spdbuild.analysis.agreement import greatest, relative_error
from spdbuild.conversion.foreign.observing import Arguments, Observation, address, observe
from spdbuild.conversion.foreign.sites import Site
from spdbuild.errors import InputError, PassError, first_line
from spdbuild.wording.phrases import some

#: Precision of TensorFloat-32, in which NVIDIA's GPUs compute convolutions of float32 unless they are told not to.
_TF32_EPS = 2.0**-10


def observe_again(module: nn.Module, arguments: Arguments, new: Sequence[tuple[Site, nn.Module]]) -> Observation:
    """What the module computes with new layers in the places of these sites.

    Raises PassError if it no longer runs, if a new layer does not run where the old one did, or if an old one still
    runs.
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
        # A pool that was split into places may still run in one that is kept.
        own = old is site.module and old in observed.ran
        if own or (isinstance(old, nn.Conv2d) and address(old.weight) in weights):
            raise _held_elsewhere(f"'{site.name}' was replaced, but the old layer still runs", site)
    return observed


def check_outputs(
    old: nn.Module,
    new: nn.Module,
    arguments: Arguments,
    before: Observation,
    after: Observation,
    sites: list[Site],
) -> None:
    """Raise PassError if the outputs differ by more than rounding although each of the new layers is exact.

    It is also one if the module returned nothing that can be compared.

    sites: the places of the new layers.
    """
    if sites and not before.outputs:
        raise PassError(
            f"whether {type(new).__name__} still computes the same cannot be told: it returned no tensor",
            hint="give an example for which it returns tensors, in containers or objects of any kind",
        )
    if not sites or not all(x.isfinite().all() for x in before.outputs if not x.is_meta):
        return
    error, tolerance = output_error(before.outputs, after.outputs), _rounding(old, before.outputs)
    if error is not None and not error <= tolerance:
        error = _error_in_float64(old, new, arguments, sites, error)
    if error is not None and not error <= tolerance:
        what = f"with SPD-Conv in it {type(new).__name__} computes something else (relative error {error:.1e})"
        raise _reads_what_was_replaced(what, sites)


def output_error(before: list[Tensor], after: list[Tensor]) -> float | None:
    """The greatest relative error of any output (see `spdbuild.analysis.agreement`); None if there are no numbers."""
    if not before or before[0].is_meta:
        return None
    if [x.shape for x in before] != [x.shape for x in after]:
        return float("inf")
    return greatest(map(relative_error, before, after))


def _error_in_float64(old: nn.Module, new: nn.Module, arguments: Arguments, sites: list[Site], error: float) -> float:
    """The error of the outputs in float64, where rounding is too small to change which boxes a detector returns.

    It is 0 if rounding makes a difference even then, because boxes are equally good: the comparison tells nothing.

    error: what to return for a module that does not run in float64.
    """
    precise = tree_map_only(Tensor, lambda x: x.double() if x.is_floating_point() else x, arguments)
    try:
        right, got = (observe(copy.deepcopy(module).double(), precise).outputs for module in (old, new))
        by_rounding = output_error(right, _rounded(old, precise, sites)) or 0.0
    except InputError:
        return error
    return output_error(right, got) or 0.0 if by_rounding <= _rounding(old, right) else 0.0


def _rounded(module: nn.Module, arguments: Arguments, sites: list[Site]) -> list[Tensor]:
    """The outputs of a module in float64 when its input and its layers at these sites are rounded in another way."""
    other, random = copy.deepcopy(module).double(), torch.Generator().manual_seed(0)

    def rounded(x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return x
        noise = torch.randn(x.shape, generator=random, dtype=x.dtype).to(x.device)
        return x + 8 * torch.finfo(x.dtype).eps * x.abs().amax() * noise

    names = {site.name for site in sites}
    for name, part in other.named_modules():
        if name in names:
            part.register_forward_hook(lambda module, inputs, output: rounded(output))
    return observe(other, tree_map_only(Tensor, rounded, arguments)).outputs


def _rounding(module: nn.Module, outputs: list[Tensor]) -> float:
    """The relative error that rounding alone can cause: the square root of the coarsest precision."""
    numbers = [x for x in (*module.parameters(), *outputs) if x.is_floating_point() or x.is_complex()]
    coarse = [_TF32_EPS for x in numbers if x.is_cuda and torch.backends.cudnn.allow_tf32]
    single = torch.finfo(torch.float32).eps
    return math.sqrt(max([torch.finfo(x.dtype).eps for x in numbers] + coarse, default=single))


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
