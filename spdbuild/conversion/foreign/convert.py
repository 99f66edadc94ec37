"""`spdbuild.convert_module`: any torch module -> a copy without strided layers that computes the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from spdbuild.arguments import construct, signature
from spdbuild.conversion.foreign.layers import Left, is_exact, spd_convolution, spd_pool
from spdbuild.conversion.foreign.observing import Observation, observe
from spdbuild.conversion.foreign.report import Cost, Kept, ModuleReport, Replaced
from spdbuild.conversion.foreign.sites import Site, find_sites
from spdbuild.conversion.pool_fitting import fit_pools
from spdbuild.errors import ArgumentError, InputError, PassError, nearest
from spdbuild.nn.spd import BlockConv2d
from spdbuild.passes.strided_to_spd import StridedToSpd, matches
from spdbuild.phases import SpdKernel

Module = TypeVar("Module", bound=nn.Module)

#: The options of the pass that mean something for a module whose layers cannot be given other inputs.
OPTIONS = ("placement", "kernel", "pool", "keep", "only", "strict")


def convert_module(
    module: Module, example: Tensor | Sequence[Any], *, calibrate: Iterable[Tensor] | None = None, **options: Any
) -> tuple[Module, ModuleReport]:
    """A copy of `module` in which SPD-Conv stands for every strided convolution and pool, and what was done.

    Convolutions keep their function exactly: the weights move to their blocks and phases. Average pools begin as the
    same average, max pools as the mean. Layers are replaced where they are; functions such as F.max_pool2d within a
    `forward` are replaced by layers where torch.fx can follow it. Everything else stays as it is: the other entries of
    the state_dict, hooks, dtype, device, modes, and what is trained.

    example: what the module is called with: a tensor, or a list of arguments. It is run before and after, to see what
        is computed and to compare.
    calibrate: batches of images on which what replaces max pools is fitted to them.
    options: placement (only "before"), kernel, pool, keep, only and strict of the pass strided_to_spd; the patterns of
        keep and only match names of modules.
    Raises InputError for an example that the module does not take, and PassError as the pass does.
    """
    step = _step(options)
    arguments = (example,) if isinstance(example, Tensor) else tuple(example)
    whole = _Whole(_copied(module))
    before, cost = observe(whole.content, arguments), _parameters(whole)
    sites = find_sites(whole, before, split_pools=step.pool == "conv")
    _check_patterns(step, whole, sites)
    replaced = {site.name: _replacement(site, step) for site in sites}
    residuals = {} if calibrate is None else fit_pools(_with_layers(module, arguments), whole.content, calibrate)
    after = observe(whole.content, arguments)
    entries = [_entry(site, replaced[site.name], before, after) for site in sites]
    report = ModuleReport(
        tuple(entry for entry in entries if isinstance(entry, Replaced)),
        tuple(entry for entry, site in zip(entries, sites, strict=True) if isinstance(entry, Kept) and site.layer),
        tuple(entry for entry, site in zip(entries, sites, strict=True) if isinstance(entry, Kept) and not site.layer),
        Cost(cost, before.macs),
        Cost(_parameters(whole), after.macs),
        _error(before.outputs, after.outputs),
        residuals,
    )
    if step.strict:
        _refuse_left(report)
    return cast(Module, whole.content), report


class _Whole(nn.Module):
    """Holds a module under the empty name: the names of its parts stay, and it can be replaced as they can."""

    def __init__(self, content: nn.Module) -> None:
        super().__init__()
        self._modules[""] = content

    @property
    def content(self) -> nn.Module:
        return cast(nn.Module, self._modules[""])


def _step(options: dict[str, Any]) -> StridedToSpd:
    for name in options:
        if name not in OPTIONS:
            known = nearest(name, OPTIONS)
            also = " for a module" if name in signature(StridedToSpd).arguments else ""
            raise ArgumentError(f"convert_module has no option '{name}'{also}", argument=name, hint=known)
    step = construct(StridedToSpd, options)
    if step.placement != "before":
        raise ArgumentError(
            "placement must be 'before' for a module: with 'after' the layers that read it would need other inputs",
            argument="placement",
            hint="import the module as an architecture (spdbuild import) and convert that",
        )
    return step


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever the attributes of others raise when they are copied
        raise InputError(f"{type(module).__name__} cannot be copied: {error}") from error


def _with_layers(module: nn.Module, arguments: tuple[Any, ...]) -> nn.Module:
    """A copy that computes the same, with a layer of its own in the place of each strided function."""
    whole = _Whole(_copied(module))
    sites = find_sites(whole, observe(whole.content, arguments))
    names = {name for name, _ in whole.named_modules()}
    for site in sites:
        if site.name not in names and site.put is not None and site.layer is not None:
            site.put(copy.deepcopy(site.layer))
    return whole.content


def _check_patterns(step: StridedToSpd, root: nn.Module, sites: list[Site]) -> None:
    names = {name for name, _ in root.named_modules()} | {site.name for site in sites}
    for option in ("keep", "only"):
        for pattern in getattr(step, option):
            if not any(matches(name, (pattern,)) for name in names):
                raise PassError(f"{option}: no part of the module is called '{pattern}'", hint=nearest(pattern, names))


def _replacement(site: Site, step: StridedToSpd) -> tuple[nn.Module, bool] | str:
    """The new layer, in its place, and whether it is exact; or the reason why the old one stays."""
    why = _why_left(site, step)
    if why or site.put is None or site.layer is None:
        return why
    try:
        new, exact = _new_layer(site, site.layer, step.kernel)
    except Left as reason:
        return str(reason)
    _carry_over(site.layer, new)
    site.put(new)
    return new, exact


def _why_left(site: Site, step: StridedToSpd) -> str:
    if matches(site.name, step.keep):
        return "named in keep"
    if step.only and not matches(site.name, step.only):
        return "not named in only"
    if site.kind != "conv2d" and step.pool == "keep":
        return "pool=keep"
    if site.kind != "conv2d" and not site.calls:
        return "the example does not run it, so its channels are not known"
    return site.left


def _new_layer(site: Site, layer: nn.Module, kernel: SpdKernel) -> tuple[nn.Module, bool]:
    if isinstance(layer, nn.Conv2d):
        new = spd_convolution(layer, kernel)
        return new, is_exact(new)
    assert isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)
    call = site.calls[0]
    return spd_pool(layer, call.channels, call.dtype, call.device)


def _carry_over(old: nn.Module, new: nn.Module) -> None:
    """Give the new layer the old one's mode, its hooks, and what attributes people gave it."""
    new.training = old.training
    for name, value in vars(old).items():
        if "_hooks" in name or name not in vars(new):
            vars(new)[name] = value


def _entry(
    site: Site, result: tuple[nn.Module, bool] | str, before: Observation, after: Observation
) -> Replaced | Kept:
    if isinstance(result, str):
        return Kept(site.name, site.kind, site.at, result)
    new, exact = result
    assert site.layer is not None
    numbers = _numbers(site.layer, before), _numbers(new, after)
    return Replaced(site.name, site.kind, site.at, *numbers, exact)


def _numbers(layer: nn.Module, observed: Observation) -> dict[str, Any]:
    names = {
        "kernel_size": "kernel",
        "stride": "stride",
        "padding": "padding",
        "dilation": "dilation",
        "groups": "groups",
    }
    numbers = {ours: getattr(layer, theirs) for theirs, ours in names.items() if hasattr(layer, theirs)}
    if isinstance(layer, BlockConv2d):
        numbers = {"kernel": layer.kernel_size, "stride": layer.stride, "block": layer.block, "order": layer.order}
    count = sum(parameter.numel() for parameter in layer.parameters())
    return {"op": type(layer).__name__, **numbers, "params": count, "macs": observed.macs_of[layer]}


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _error(before: list[Tensor], after: list[Tensor]) -> float | None:
    """Greatest difference of any output relative to the greatest number of that output."""
    if not before or before[0].is_meta:
        return None
    if [x.shape for x in before] != [x.shape for x in after]:
        return float("inf")
    pairs = [(old.double(), new.double()) for old, new in zip(before, after, strict=True) if old.numel()]
    # The tiny number lets an output of zeros equal itself.
    errors = [(old - new).abs().max() / old.abs().max().clamp(min=1e-300) for old, new in pairs]
    return float(torch.stack(errors).max()) if errors else 0.0


def _refuse_left(report: ModuleReport) -> None:
    if report.left:
        listed = ", ".join(f"{entry.name} ({entry.why})" for entry in report.left)
        raise PassError(f"strict: {len(report.left)} strided layers are left: {listed}")
