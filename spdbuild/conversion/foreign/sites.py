"""The strided places of a module: layers, and functions within a `forward`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from torch import fx, nn

from spdbuild.conversion.foreign.forwards import Forward
from spdbuild.conversion.foreign.layers import Left, kind_of
from spdbuild.conversion.foreign.observing import Call, Observation, address


@dataclass
class Site:
    """One strided place.

    name: of the layer, or of the function within a module: `Mixed_6a.max_pool2d`.
    kind: "conv2d", "max_pool2d" or "avg_pool2d".
    module: the layer itself, or the module whose forward calls the function.
    layer: the layer that computes it; None where nothing more is known than that it is computed.
    put: puts another layer in its place.
    calls: what the example computed here.
    left: why it has to stay as it is; empty if it can be replaced.
    """

    name: str
    kind: str
    module: nn.Module
    layer: nn.Module | None = None
    put: Callable[[nn.Module], None] | None = None
    calls: list[Call] = field(default_factory=list)
    left: str = ""

    @property
    def at(self) -> str:
        """The line of Python that asked for it; empty if the example did not run it."""
        return self.calls[0].at if self.calls else ""

    @property
    def channels(self) -> list[int]:
        """The numbers of channels that it read."""
        return sorted({call.channels for call in self.calls})


def find_sites(root: nn.Module, observed: Observation, split_pools: bool = True) -> list[Site]:
    """The strided places of a module in the order in which they first ran, followed by those that did not run.

    split_pools: whether each use of a pool that reads several numbers of channels is a place by itself, if it can be:
        the convolution that replaces a pool has one number of channels.
    """
    layers = _layer_sites(root)
    strangers = _assign_calls(layers, observed.calls)
    names = {module: name for name, module in root.named_modules()}
    for layer, site in layers.items():
        if split_pools and len(site.channels) > 1 and site.kind != "conv2d":
            site.left = f"it reads {' and '.join(map(str, site.channels))} channels, and a convolution one number"
            strangers.setdefault(_caller(site.calls[0], layer), []).extend(site.calls)
    sites = list(layers.values())
    for module, calls in strangers.items():
        sites = list(_with_functions(sites, names.get(module, ""), module, calls))
    owners = _owners(root)
    for site in sites:
        site.left = site.left or _why_tied(site, owners, observed)
        if site.module in observed.unbatched and site.module is site.layer:
            site.left = site.left or "the example gives it no batch axis, and SPD-Conv needs (N, C, H, W)"
    return sorted(sites, key=lambda site: min((call.number for call in site.calls), default=len(observed.calls)))


def _layer_sites(root: nn.Module) -> dict[nn.Module, Site]:
    """The strided layers; one that is held under several names is one place."""
    found: dict[nn.Module, Site] = {}
    holders: dict[nn.Module, list[tuple[nn.Module, str]]] = {}
    for parent in root.modules():
        for name, child in parent._modules.items():
            if child is not None:
                holders.setdefault(child, []).append((parent, name))
    for name, layer in root.named_modules():
        kind = kind_of(layer)
        if kind is not None:
            found[layer] = Site(name, kind, layer, layer, partial(_put_layer, holders.get(layer, [])))
    return found


def _owners(root: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """For each parameter, by its address or else its identity, the modules that hold it, and its names."""
    owners: dict[int, list[tuple[nn.Module, str]]] = {}
    for path, module in root.named_modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                full = f"{path}.{name}".lstrip(".").removesuffix(".weight")
                owners.setdefault(address(parameter) or id(parameter), []).append((module, full))
    return owners


def _why_tied(site: Site, owners: dict[int, list[tuple[nn.Module, str]]], observed: Observation) -> str:
    """Who else has the weight of a convolution, or computes with it; empty if nobody does."""
    weight = site.layer._parameters.get("weight") if isinstance(site.layer, nn.Conv2d) else None
    if weight is None:
        return ""
    holders = owners.get(address(weight) or id(weight), [])
    if len(holders) > 1:
        others = [name for module, name in holders if module is not site.module] or [name for _, name in holders]
        return f"it shares its weight with {' and '.join(others)}"
    readers = observed.readers.get(address(weight), set()) - {site.module}
    names = " and ".join(sorted(type(reader).__qualname__ for reader in readers))
    return f"its weight is read by the forward of another module, {names}" if names else ""


def _put_layer(holders: list[tuple[nn.Module, str]], new: nn.Module) -> None:
    for parent, name in holders:
        parent._modules[name] = new


def _assign_calls(layers: dict[nn.Module, Site], calls: list[Call]) -> dict[nn.Module, list[Call]]:
    """Assign each call to the layer that made it; return those that no layer made, by the module that did."""
    weights = {address(layer.weight): site for layer, site in layers.items() if isinstance(layer, nn.Conv2d)}
    strangers: dict[nn.Module, list[Call]] = {}
    for call in calls:
        innermost = call.runs[-1].module
        site = layers.get(innermost)
        if site is None and call.weight and call.weight in weights:
            site = weights[call.weight]
        if site is None:
            strangers.setdefault(innermost, []).append(call)
        else:
            site.calls.append(call)
    return strangers


def _caller(call: Call, layer: nn.Module) -> nn.Module:
    """The module whose `forward` called the layer."""
    modules = [run.module for run in call.runs]
    return modules[max(0, modules.index(layer) - 1)]


def _with_functions(sites: list[Site], name: str, module: nn.Module, calls: list[Call]) -> Iterator[Site]:
    """The sites, and those of the functions that `module` calls; these replace the pools that they split."""
    shared = {call.runs[-1].module for call in calls} - {module}
    runs: dict[int, list[Call]] = {}
    for call in sorted(calls, key=lambda call: call.number):
        runs.setdefault(next(run.number for run in call.runs if run.module is module), []).append(call)
    first = next(iter(runs.values()))
    try:
        forward = Forward(module, shared)
        kinds = [forward.computes(site) for site in forward.sites]
        if any([call.kind for call in run] != kinds for run in runs.values()):
            raise Left(f"torch.fx sees {len(kinds)} strided functions in its forward, the example {len(first)}")
    except Left as reason:
        yield from sites
        for call in first:
            if call.runs[-1].module is module:
                yield Site(f"{name}.{call.kind}".lstrip("."), call.kind, module, calls=[call], left=str(reason))
        return
    yield from (site for site in sites if site.layer not in shared)
    for number, node in enumerate(forward.sites):
        yield _function_site(forward, node, name, [run[number] for run in runs.values()])


def _function_site(forward: Forward, node: fx.Node, module: str, calls: list[Call]) -> Site:
    name = forward.name(node)
    site = Site(f"{module}.{name}".lstrip("."), forward.computes(node), forward.module, calls=calls)
    try:
        site.layer, site.put = forward.layer(node), partial(forward.replace, node, name)
    except Left as reason:
        site.left = str(reason)
    if len(site.channels) > 1:
        site.left = f"it reads {' and '.join(map(str, site.channels))} channels, and a convolution one number"
    return site
