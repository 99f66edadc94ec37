"""What each strided layer may become, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from spdbuild.conversion.budget import Meter
from spdbuild.conversion.selection import Option
from spdbuild.conversion.taps import taps_of
from spdbuild.declaring.arguments import arguments_of
from spdbuild.graph import Graph, Node
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.spd import SpdConv2d
from spdbuild.passes import Change, run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd, is_strided
from spdbuild.phases import SpdKernel
from spdbuild.text.patterns import cover, matches

#: Shares of taps are counted in millionths, so that sums of them are exact.
_WHOLE = 1_000_000


@dataclass(frozen=True)
class LayerChoice:
    """What one strided layer becomes: `placement` is "before", "after", or "" for a layer that stays strided."""

    layer: str
    placement: str
    kernel: SpdKernel = "exact"


def choices(
    graph: Graph, step: StridedToSpd, meters: Sequence[Meter], *, may_keep: bool = False
) -> list[list[Option[LayerChoice]]]:
    """For every layer that `step` replaces, what else it may become; costs are those added to `graph`.

    A convolution may get any kernel up to the one that `step` gives it, or placement "after" where the layers that
    then read more channels are not themselves replaced. A pool becomes what `step` makes of it.

    Worth, most important first: layers that do not stay strided; taps, as the share of what the strided layer read,
    each layer with equal weight; blocks in the new window.

    may_keep: whether layers may stay strided.
    """
    _, changes = run_passes(graph, [step])
    replaced = [change for change in changes if not change.left]
    taken = {change.name for change in replaced}
    layers = []
    for change in replaced:
        options = list(_placed_before(graph[change.name], step, change, meters))
        if isinstance(change.before, Conv2d) and not matches(change.name, step.before):
            options += _placed_after(graph, step, change.name, meters, taken)
        if may_keep:
            options.append(Option(LayerChoice(change.name, ""), (-1, 0, 0), (0.0,) * len(meters)))
        layers.append(options)
    return layers


def combined(step: StridedToSpd, chosen: Sequence[LayerChoice], graph: Graph) -> StridedToSpd:
    """The pass with the options that give every layer what was chosen for it."""
    strided = [node.name for node in graph if is_strided(node.op)]
    convolutions = [choice for choice in chosen if choice.placement == "before" and _is_convolution(graph, choice)]
    placed = {placement: [c.layer for c in chosen if c.placement == placement] for placement in ("", "after", "before")}
    counts = Counter(choice.kernel for choice in convolutions)
    kernel = max(counts, key=lambda kernel: (counts[kernel], kernel == "exact")) if counts else step.kernel
    entries: list[str] = []
    for other in counts:
        if other != kernel:
            layers = [choice.layer for choice in convolutions if choice.kernel == other]
            entries += [f"{pattern}={other}" for pattern in cover(layers, strided)]
    return replace(
        step,
        placement="after" if placed["after"] else "before",
        kernel=kernel,
        kernels=tuple(entries),
        keep=(*step.keep, *cover(placed[""], strided)),
        before=tuple(cover(placed["before"], strided)) if placed["after"] else (),
    )


def _is_convolution(graph: Graph, choice: LayerChoice) -> bool:
    return isinstance(graph[choice.layer].op, Conv2d)


def _placed_before(
    node: Node, step: StridedToSpd, change: Change, meters: Sequence[Meter]
) -> Iterator[Option[LayerChoice]]:
    if not isinstance(node.op, Conv2d):
        assert change.after is not None
        costs = _difference([node], [replace(node, op=change.after)], meters)
        yield Option(LayerChoice(node.name, "before"), (0, _WHOLE, 0), costs)
        return
    asked = step.kernel_of(node.name)
    greatest = max(axis.kernel for axis in SpdConv2d(**arguments_of(node.op), spd_kernel=asked).blocks())
    for kernel in (*range(1, greatest), asked):
        op = SpdConv2d(**arguments_of(node.op), spd_kernel=kernel)
        costs = _difference([node], [replace(node, op=op)], meters)
        choice = LayerChoice(node.name, "before", kernel)
        yield Option(choice, (0, _held(op), prod(axis.kernel for axis in op.blocks())), costs)


def _held(op: SpdConv2d) -> int:
    """The share of the strided layer's taps that the new kernel holds."""
    taps = taps_of(op)
    assert taps is not None
    return _WHOLE * taps.used // prod(window.kernel for window in op.windows())


def _placed_after(
    graph: Graph, step: StridedToSpd, name: str, meters: Sequence[Meter], taken: set[str]
) -> Iterator[Option[LayerChoice]]:
    """The choice of placement "after", if its costs do not depend on other choices; its readers are added to `taken`.

    taken: layers whose costs other choices determine.
    """
    alone = replace(step, placement="after", only=(name,), keep=(), before=(), kernels=(), strict=False)
    after, changes = run_passes(graph, [alone])
    change = next(change for change in changes if change.name == name)
    new = [node for node in after if node.name not in graph or node != graph[node.name]]
    readers = {node.name for node in new} - {name}
    if change.placement != "after" or readers & taken:
        return
    taken |= readers
    old = [graph[node.name] for node in new if node.name in graph]
    yield Option(LayerChoice(name, "after"), (0, _WHOLE, 0), _difference(old, new, meters))


def _difference(old: Iterable[Node], new: Iterable[Node], meters: Sequence[Meter]) -> tuple[float, ...]:
    before, after = list(old), list(new)
    return tuple(sum(map(meter, after)) - sum(map(meter, before)) for meter in meters)
