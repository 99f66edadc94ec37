"""Turn an SPD network into the strided one that computes the same, for deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild.conversion.flat_renames import flat_tables
from spdbuild.conversion.report import costs_text
from spdbuild.conversion.weights import renamed
from spdbuild.graph import Graph, Node
from spdbuild.graph.text import flat_names, graph_text
from spdbuild.graph.totals import totals
from spdbuild.loading import Architecture, graph_of
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.normalization import BatchNorm
from spdbuild.ops.op import Op
from spdbuild.ops.spd import SpdAvgPool, SpdConv2d
from spdbuild.passes import Change, GraphPass, run_passes
from spdbuild.passes.fold_spd import FoldSpd
from spdbuild.passes.fuse_conv_norm import FuseConvNorm
from spdbuild.shape import pair
from spdbuild.text.source import Value
from spdbuild.text.yaml_text import yaml_text
from spdbuild.weight_transfer import PixelKernel, smallest_window
from spdbuild.weight_transfer.folding import conv2d_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Folding:
    """The network before and after, its weights if those of the SPD network were given, and what was done, in order.

    renames: rename tables for the names of `before`.
    """

    before: Graph
    graph: Graph
    weights: Mapping[str, Tensor] | None
    changes: tuple[Change, ...]
    renames: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def __str__(self) -> str:
        done = f"{len(self.folded)} layers folded, {len(self.fused)} norms fused, {len(self.kept)} kept"
        return f"{done}\n{costs_text(self.before, self.graph)}"

    def __repr__(self) -> str:
        return f"Folding({self.name}: {len(self.folded)} folded, {len(self.fused)} fused, {len(self.kept)} kept)"

    @property
    def folded(self) -> list[str]:
        """The layers that are strided convolutions now, or average pools again, including those split in two."""
        done = {
            change.name: None for change in self.changes if isinstance(change.after, Conv2d) and not _is_norm(change)
        }
        restored = (node.name for node in self.before if isinstance(node.op, SpdAvgPool) and node.name not in done)
        return [*done, *restored]

    @property
    def fused(self) -> list[str]:
        """The norms that were merged into their convolutions."""
        return [change.name for change in self.changes if _is_norm(change) and not change.left]

    @property
    def kept(self) -> list[Change]:
        """The space_to_depth layers that are left, and why."""
        return [change for change in self.changes if change.left and change.before.name == "space_to_depth"]

    @property
    def name(self) -> str:
        """What the folded architecture is called."""
        return f"{self.before.name}_folded"

    def text(self, folder: Path | None = None) -> str:
        """The folded network as a flat architecture file, with rename tables for its names.

        folder: where the file will be; it names the Python files of its ops relative to this, or by absolute paths.
        """
        graph = self.graph.copy()
        graph.name = self.name
        tables = flat_tables(self.renames, self.before, graph)
        renames = yaml_text({"rename": tables}) if tables else ""
        return f"# Folded from {self.before.name}; it computes the same\n{graph_text(graph, folder)}{renames}"

    def flat_weights(self) -> dict[str, Tensor]:
        """The weights under the names of the flat file; empty if there are none."""
        return renamed(self.graph, flat_names(self.graph), self.weights or {})

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild fold --json` prints."""
        return {
            "folded": [
                {"name": name, "before": str(self.before[name].op), "after": str(self.graph[name].op)}
                for name in self.folded
            ],
            "fused": self.fused,
            "kept": [{"name": change.name, "op": change.before.name, "why": change.why} for change in self.kept],
            "before": totals(self.before),
            "after": totals(self.graph),
        }


def fold(
    network: Architecture | Graph | str | Path,
    weights: Mapping[str, Tensor] | None = None,
    *,
    fuse: bool = True,
    into_producers: bool = False,
    renames: Mapping[str, Mapping[str, Value]] | None = None,
) -> Folding:
    """`spdbuild.fold` of a network that is no run, with a state_dict or without weights.

    renames: rename tables of a graph; an architecture has its own.
    """
    if renames is None:
        renames = network.renames if isinstance(network, Architecture) else {}
    graph = graph_of(network)
    folder = _Folder(graph, weights)
    if fuse:
        folder.run(FuseConvNorm())
    folder.restore_pools()
    unfolded = folder.graph
    folder.run(FoldSpd(into_producers=into_producers))
    folder.trim(unfolded)
    if fuse:
        # Where space_to_depth stood between a convolution and its norm, they are neighbours only now.
        folder.run(FuseConvNorm())
    return Folding(graph, folder.graph, folder.weights, tuple(folder.changes), renames)


class _Folder:
    """A network while it is folded, with its weights."""

    def __init__(self, graph: Graph, weights: Mapping[str, Tensor] | None) -> None:
        self.graph = graph.copy()
        self.weights = None if weights is None else dict(weights)
        self.changes: list[Change] = []

    def run(self, step: GraphPass) -> None:
        after, changes = run_passes(self.graph, [step])
        if self.weights is not None:
            self.weights = step.transfer(self.graph, after, changes, self.weights)
        self.graph = after
        self.changes += changes

    def restore_pools(self) -> None:
        """Turn replacements of average pools that still compute exactly the average back into pools."""
        if self.weights is None:
            return
        for node in self.graph.layers:
            name = f"{node.name}.weight"
            if isinstance(node.op, SpdAvgPool) and node.op.is_exact():
                initial = node.op.initial_weight(*node.input_shapes).to(self.weights[name])
                if self.weights[name].equal(initial):
                    self.graph.replace_op(node.name, node.op.strided())
                    del self.weights[name]

    def trim(self, unfolded: Graph) -> None:
        """Make the kernels of the convolutions that folding changed in `unfolded` as small as their weights allow."""
        if self.weights is None:
            return
        for node in self.graph.layers:
            former = unfolded[node.name].op if node.name in unfolded else None
            if isinstance(node.op, Conv2d) and node.op != former:
                self._trim(node, node.op, _strided(former, node.op))

    def _trim(self, node: Node, op: Conv2d, strided: Conv2d | None) -> None:
        """strided: the convolution that an SPD-Conv had replaced, which is preferred if it will do."""
        assert self.weights is not None
        x, name = node.input_shapes[0], f"{node.name}.weight"
        kernel = PixelKernel.of_window(self.weights[name], op.windows())
        smallest = conv2d_of(map(smallest_window, kernel.offsets(), op.windows()), x, op.out, op.groups, op.bias)
        if strided is not None and kernel.fits(strided.windows()) and _taps(strided) <= _taps(smallest):
            smallest = strided
        self.graph.replace_op(node.name, smallest)
        self.weights[name] = kernel.in_window(smallest.windows())


def _strided(former: Op | None, folded: Conv2d) -> Conv2d | None:
    """The convolution that an SPD-Conv had replaced; None if a space_to_depth before it is in `folded` as well."""
    if not isinstance(former, SpdConv2d) or pair(former.stride) != pair(folded.stride):
        return None
    return former.strided()


def _is_norm(change: Change) -> bool:
    return isinstance(change.before, BatchNorm)


def _taps(op: Conv2d) -> int:
    return prod(pair(op.kernel))
