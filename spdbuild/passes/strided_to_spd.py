"""Replace strided convolutions and pooling by space-to-depth and layers of stride 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from spdbuild.declaring.arguments import arguments_of
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError, PassError, ShapeError
from spdbuild.graph import Graph, Node
from spdbuild.graph.names import free_name, name_parts
from spdbuild.ops import Op
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.op import MAX_ARGUMENT
from spdbuild.ops.pooling import AvgPool, MaxPool
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.ops.spd import SpdAvgPool, SpdConv2d, SpdMaxPool
from spdbuild.passes.graph_pass import PASSES, Change, GraphPass
from spdbuild.phases import SpdKernel
from spdbuild.shape import pair
from spdbuild.text.patterns import matches, unmatched
from spdbuild.weight_transfer import carry_over

if TYPE_CHECKING:
    from torch import Tensor

#: Options of the published placements, by name.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"placement": "before", "kernel": "same", "pool": "conv"},
    "released-yolov5": {"placement": "after", "after": "act", "before": ("backbone.stem",), "pool": "keep"},
    "released-resnet": {"placement": "after", "after": "conv", "keep": ("stem", "*.skip"), "pool": "keep"},
}


@PASSES.register
@dataclass(frozen=True)
class StridedToSpd(GraphPass):
    """Keep the pixels that a strided layer would skip.

        conv2d(stride=s) -> norm -> act      becomes
            placement="before"               spd_conv2d: space_to_depth(s) -> conv2d(stride=1), then norm -> act
            placement="after", after="conv"  conv2d(stride=1) -> space_to_depth(s) -> norm -> act
            placement="after", after="act"   conv2d(stride=1) -> norm -> act -> space_to_depth(s)
        max_pool or avg_pool(stride=s)       spd_max_pool, spd_avg_pool: space_to_depth(s) -> conv2d(stride=1)

    1. A strided convolution, "before": its output shape stays, so nothing else changes.
    2. A strided convolution, "after": the layers that read it see s*s times the channels. Where they cannot, for
       example because the output is added to another, the convolution is treated as in case 1, and the report says so.
    3. avg_pool: the new convolution keeps the channels and starts as exactly the same average.
    4. max_pool: the same, but no convolution computes a maximum; it starts as the mean.
    5. Layers of stride 1, and layers that `keep` names, are left alone.

    A pattern is the name of a layer, or of a block or section with everything in it; `*` stands for any text. The
    network can be trained after the pass.

    placement: where space_to_depth stands.
    after: with placement "after", directly after the convolution ("conv") or after its norm and activation ("act").
    kernel: with placement "before", kernel of the new convolution: "exact", the smallest that can compute the strided
        one; "same", the kernel as it was, but the exact one for a kernel of whole blocks (6x6 at stride 2: 3x3); or a
        number.
    kernels: overrides of `kernel` for some layers, each "pattern=kernel"; the last that matches a layer wins.
    pool: whether strided pools become convolutions ("conv") or stay ("keep").
    keep: patterns of layers that stay strided.
    only: patterns of the only layers to change; by default all.
    before: patterns of layers that take placement "before" in any case, as the stem of the released YOLOs does.
    strict: fail if any stride or strided pool is left, and list them.

    Source: Sunkara and Luo 2022, arXiv:2208.03641; placement "after" is that of the code released with it.
    """

    placement: Literal["before", "after"] = "before"
    after: Literal["conv", "act"] = "act"
    kernel: SpdKernel = "exact"
    kernels: tuple[str, ...] = ()
    pool: Literal["conv", "keep"] = "conv"
    keep: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.kernel, int):
            require_range(self, "kernel", least=1, most=MAX_ARGUMENT)
        for entry in self.kernels:
            parse_kernel(entry)

    def apply(self, graph: Graph) -> list[Change]:
        for option in ("keep", "only", "before"):
            _check_patterns(option, getattr(self, option), graph)
        _check_patterns("kernels", (pattern for pattern, _ in map(parse_kernel, self.kernels)), graph)
        nodes = list(graph)
        changes = [self._change(graph, graph[node.name]) for node in nodes if is_strided(node.op) or _is_unknown(node)]
        if self.strict:
            refuse_left([(change.name, change.why) for change in changes if change.left])
        return changes

    def transfer(
        self, before: Graph, after: Graph, changes: Sequence[Change], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The weights with which the new network computes what the old one does, but for max pools."""
        return carry_over(before, after, weights)

    def _change(self, graph: Graph, node: Node) -> Change:
        if _is_unknown(node):
            return Change.kept(node, f"it halves images, and nothing more is known of {node.op.name}")
        if matches(node.name, self.keep):
            return Change.kept(node, "named in keep")
        if self.only and not matches(node.name, self.only):
            return Change.kept(node, "not named in only")
        if not isinstance(node.op, Conv2d):
            if self.pool == "keep":
                return Change.kept(node, "pool=keep")
            return _replaced(graph, node, _pool_as_convolution(node.op))
        if self.placement == "after" and not matches(node.name, self.before):
            try:
                return self._after(graph, node, node.op)
            except ShapeError:
                why = "placed before: the layers that read it cannot take more channels"
                return replace(self._before(graph, node, node.op), why=why)
        return self._before(graph, node, node.op)

    def _before(self, graph: Graph, node: Node, convolution: Conv2d) -> Change:
        return _replaced(graph, node, SpdConv2d(**arguments_of(convolution), spd_kernel=self.kernel_of(node.name)))

    def kernel_of(self, name: str) -> SpdKernel:
        """The kernel that the options ask for at a layer with placement "before"."""
        own = [kernel for pattern, kernel in map(parse_kernel, self.kernels) if matches(name, (pattern,))]
        return own[-1] if own else self.kernel

    def _after(self, graph: Graph, node: Node, convolution: Conv2d) -> Change:
        """Placement "after"; ShapeError, with nothing changed, if the rest of the network does not fit."""
        plain = replace(convolution, stride=1)
        anchor = self._anchor(graph, node)
        name = free_name(inserted_name(node, anchor), graph.names)
        with graph.changes():
            graph.replace_op(node.name, plain)
            graph.insert_after(anchor.name, name, SpaceToDepth(convolution.stride), self.name)
        return Change.of(node, plain, placement="after", anchor=anchor.name, inserted=(name,))

    def _anchor(self, graph: Graph, node: Node) -> Node:
        """The last of convolution, norm and activation, as far as each is read by the next one alone."""
        anchor = node
        families = ("normalization", "activation") if self.after == "act" else ()
        for family in families:
            users = graph.users(anchor.name)
            if len(users) != 1 or graph.is_output(anchor.name) or users[0].op.family != family:
                continue
            anchor = users[0]
        return anchor


def is_strided(op: Op) -> bool:
    """Whether the op skips pixels: a convolution or a pool with a stride."""
    return isinstance(op, Conv2d | MaxPool | AvgPool) and max(pair(op.stride)) > 1


def _is_unknown(node: Node) -> bool:
    """Whether a third-party op shrinks images by half or more, and does not merely move pixels into channels."""
    if type(node.op).__module__.startswith("spdbuild.") or not node.input_shapes:
        return False
    given, now = node.input_shapes[0], node.shape
    if len(given) != 3 or len(now) != 3 or now.pixels == 1 or now.elements == given.elements:
        return False
    return 2 * now.height <= given.height + 1 or 2 * now.width <= given.width + 1


def parse_kernel(entry: str) -> tuple[str, SpdKernel]:
    """`down2=1` -> ("down2", 1); ArgumentError if it is not a pattern and a kernel."""
    pattern, _, kernel = (part.strip() for part in entry.partition("="))
    if pattern and kernel in ("exact", "same"):
        return pattern, cast(SpdKernel, kernel)
    if not pattern or not kernel.isdecimal() or not 1 <= int(kernel) <= MAX_ARGUMENT:
        raise ArgumentError(
            f"kernels must be entries such as 'down2=1', got '{entry}'",
            argument="kernels",
            hint=f"a kernel is exact, same or a number between 1 and {MAX_ARGUMENT}",
        )
    return pattern, int(kernel)


def inserted_name(convolution: Node, anchor: Node) -> str:
    """Name of the space_to_depth after `anchor`: in the anchor's block, and named for the convolution."""
    container = ".".join(name_parts(anchor.name)[:-1])
    inside = convolution.name.removeprefix(f"{container}.")
    is_inside = not container or inside != convolution.name
    first = name_parts(inside)[0 if is_inside else -1].replace(".", "_")
    return f"{container}.{first}_to_depth" if container else f"{first}_to_depth"


def _replaced(graph: Graph, node: Node, op: SpdConv2d | SpdMaxPool | SpdAvgPool) -> Change:
    graph.replace_op(node.name, op)
    return Change.of(node, op, exact=op.is_exact(), placement="before")


def _pool_as_convolution(pool: Op) -> SpdMaxPool | SpdAvgPool:
    return (SpdMaxPool if isinstance(pool, MaxPool) else SpdAvgPool)(**arguments_of(pool))


def _check_patterns(option: str, patterns: Iterable[str], graph: Graph) -> None:
    for pattern, hint in unmatched(patterns, graph.names):
        preset = next((name for name, options in PRESETS.items() if pattern in options.get(option, ())), None)
        if preset is not None:
            hint = f"if it is from the preset {preset}, give {option} yourself: names of this network, or an empty text"
        raise PassError(f"{option}: no layer of {graph.name} is called '{pattern}'", hint=hint)


def refuse_left(left: Sequence[tuple[str, str]]) -> None:
    """Raise PassError if layers are left strided where none may be. left: the name and reason of each."""
    if left:
        listed = ", ".join(f"{name} ({why})" for name, why in left)
        raise PassError(
            f"strict: {len(left)} strided layers are left: {listed}", hint="name nothing in keep, pool=conv"
        )
