"""`spdbuild.convert_module`: any torch module -> a copy without strided layers that computes the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack, cast

from torch import Tensor, nn

from spdbuild.analysis.watching import ALONE, check_module, copied
from spdbuild.conversion.foreign.checking import check_outputs, observe_again, output_error
from spdbuild.conversion.foreign.layers import Left, is_exact, spd_convolution, spd_pool
from spdbuild.conversion.foreign.observing import Arguments, Observation, observe
from spdbuild.conversion.foreign.report import Cost, Kept, ModuleReport, Replaced
from spdbuild.conversion.foreign.sites import Site, find_sites
from spdbuild.conversion.options import ModuleOptions
from spdbuild.conversion.pool_fitting import fit_pools
from spdbuild.declaring.arguments import construct, signature
from spdbuild.errors import ArgumentError, PassError, nearest
from spdbuild.nn.spd import BlockConv2d
from spdbuild.passes.strided_to_spd import StridedToSpd, refuse_left
from spdbuild.phases import SpdKernel
from spdbuild.text.patterns import matches, unmatched

#: The options of the pass that make sense for a module.
OPTIONS = tuple(ModuleOptions.__annotations__)


def convert_module(
    module: nn.Module,
    example: Tensor | Sequence[Any],
    *,
    keywords: Mapping[str, Any] | None = None,
    calibrate: Iterable[Tensor | Sequence[Any]] | None = None,
    **options: Unpack[ModuleOptions],
) -> tuple[nn.Module, ModuleReport]:
    """A copy of `module` in which SPD-Conv replaces every strided convolution and pool, and a report.

    Convolutions keep their function exactly: the weights move to their blocks and phases. Average pools begin as the
    same average, max pools as the mean. Layers are replaced where they are; functions such as F.max_pool2d within a
    `forward` are replaced by layers where torch.fx can follow it. Everything else stays as it is: the other entries of
    the state_dict, hooks, dtype, device, memory format, modes, and what is trained. The copy has the class of `module`
    unless that is itself a layer that is replaced.

    example: what the module is called with: a tensor, or a list of arguments. It is run before and after, to see what
        it computes and to compare.
    keywords: named arguments of that call.
    calibrate: batches of images on which the replacements of max pools are fitted to them; of pairs of images and
        labels, as a DataLoader yields them, only the images are used.
    options: placement (only "before"), kernel, pool, keep, only and strict of the pass strided_to_spd; the patterns of
        keep and only match names of modules.
    While it works, no other thread may run a module: torch.fx, where it follows a `forward`, would trace that one too.

    Raises InputError for an example that the module does not take. Raises PassError as the pass does, and where the
    module's own code prevents the conversion: it holds a layer in a plain list, reads the numbers of one, or returns
    no tensor to compare.
    """
    check_module(module)
    arguments = Arguments((example,) if isinstance(example, Tensor) else _listed(example), dict(keywords or {}))
    with ALONE:
        return _converted(module, arguments, calibrate, _step(options))


def _listed(example: Any) -> tuple[Any, ...]:
    if not isinstance(example, Sequence) or isinstance(example, str):
        kind = type(example).__name__
        hint = "named arguments go into keywords={...}" if isinstance(example, Mapping) else ""
        raise ArgumentError(
            f"example must be a tensor or a list of arguments, got a {kind}", argument="example", hint=hint
        )
    return tuple(example)


def _converted(
    module: nn.Module, arguments: Arguments, calibrate: Iterable[Tensor | Sequence[Any]] | None, step: StridedToSpd
) -> tuple[nn.Module, ModuleReport]:
    whole = _Whole(copied(module))
    before, cost = observe(whole.content, arguments), _parameters(whole)
    sites = find_sites(whole, before, split_pools=step.pool == "conv")
    _check_patterns(step, whole, sites)
    results = [_replacement(site, step) for site in sites]
    exact = [(site, new) for site, new in zip(sites, results, strict=True) if isinstance(new, _New) and new.exact]
    other = [(site, new) for site, new in zip(sites, results, strict=True) if isinstance(new, _New) and not new.exact]
    after = _put(exact, whole, arguments, before)
    check_outputs(module, whole.content, arguments, before, after, [site for site, _ in exact])
    after = _put(other, whole, arguments, after)
    residuals = {}
    if calibrate is not None:
        residuals = fit_pools(_with_layers(module, arguments), whole.content, calibrate, arguments.named)
        after = observe(whole.content, arguments)
    entries = [_entry(site, new, before, after) for site, new in zip(sites, results, strict=True)]
    report = ModuleReport(
        tuple(entry for entry in entries if isinstance(entry, Replaced)),
        tuple(entry for entry, site in zip(entries, sites, strict=True) if isinstance(entry, Kept) and site.layer),
        tuple(entry for entry, site in zip(entries, sites, strict=True) if isinstance(entry, Kept) and not site.layer),
        Cost(cost, before.macs),
        Cost(_parameters(whole), after.macs),
        output_error(before.outputs, after.outputs),
        residuals,
    )
    if step.strict:
        refuse_left([(entry.name, entry.why) for entry in report.left])
    return whole.content, report


class _Whole(nn.Module):
    """Holds a module under the empty name: the names of its parts stay, and it can be replaced like them."""

    def __init__(self, content: nn.Module) -> None:
        super().__init__()
        self._modules[""] = content

    @property
    def content(self) -> nn.Module:
        return cast(nn.Module, self._modules[""])


def _step(options: Mapping[str, Any]) -> StridedToSpd:
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
            hint="spdbuild.import_module(module, example) makes an architecture of it; convert that",
        )
    return step


def _with_layers(module: nn.Module, arguments: Arguments) -> nn.Module:
    """A copy that computes the same, with a layer of its own in place of each strided function."""
    whole = _Whole(copied(module))
    sites = find_sites(whole, observe(whole.content, arguments))
    names = {name for name, _ in whole.named_modules()}
    for site in sites:
        if site.name not in names and site.put is not None and site.layer is not None:
            site.put(copy.deepcopy(site.layer))
    return whole.content


def _check_patterns(step: StridedToSpd, root: nn.Module, sites: list[Site]) -> None:
    names = {name for name, _ in root.named_modules()} | {site.name for site in sites}
    for option in ("keep", "only"):
        for pattern, hint in unmatched(getattr(step, option), names):
            raise PassError(f"{option}: no part of the module is called '{pattern}'", hint=hint)


@dataclass(frozen=True)
class _New:
    """A new layer for a strided place, and whether it computes exactly the same function."""

    layer: nn.Module
    exact: bool


def _replacement(site: Site, step: StridedToSpd) -> _New | str:
    """The new layer, not yet in its place; or the reason why the old one stays."""
    why = _why_left(site, step)
    if why or site.layer is None:
        return why
    try:
        new = _new_layer(site, site.layer, step.kernel)
    except Left as reason:
        return str(reason)
    _carry_over(site.layer, new.layer)
    return new


def _put(new: list[tuple[Site, _New]], whole: _Whole, arguments: Arguments, before: Observation) -> Observation:
    """Put new layers in their places, and observe what the module computes with them."""
    if not new:
        return before
    for site, made in new:
        assert site.put is not None
        site.put(made.layer)
    return observe_again(whole.content, arguments, [(site, made.layer) for site, made in new])


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


def _new_layer(site: Site, layer: nn.Module, kernel: SpdKernel) -> _New:
    if isinstance(layer, nn.Conv2d):
        new = spd_convolution(layer, kernel)
        return _New(new, is_exact(new))
    assert isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)
    call = site.calls[0]
    return _New(*spd_pool(layer, call.channels, call.dtype, call.device))


def _carry_over(old: nn.Module, new: nn.Module) -> None:
    """Give the new layer the old one's mode, its hooks, and the attributes that users gave it."""
    new.training = old.training
    for name, value in vars(old).items():
        if "_hooks" in name or name not in vars(new):
            vars(new)[name] = value


def _entry(site: Site, new: _New | str, before: Observation, after: Observation) -> Replaced | Kept:
    if isinstance(new, str):
        return Kept(site.name, site.kind, site.at, new)
    assert site.layer is not None
    numbers = _numbers(site.layer, before), _numbers(new.layer, after)
    return Replaced(site.name, site.kind, site.at, *numbers, new.exact)


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
