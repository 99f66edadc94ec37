"""What a conversion did, layer by layer, and what it cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spdbuild.analysis.receptive import Fields, receptive_fields
from spdbuild.conversion.taps import Taps, taps_of
from spdbuild.graph import Graph, Node
from spdbuild.graph.text import flat_names
from spdbuild.graph.totals import totals
from spdbuild.passes import Change
from spdbuild.wording.quantities import ratio, scaled


@dataclass(frozen=True)
class ConversionReport:
    """The graphs before and after, the changes in the order of the network, and the pass as a call.

    overlay: why the lines of the old file could not be rewritten; empty if they were. The written file extends it then.
    flat: why the written file has one line per layer, and does not even extend the old one; empty if it does.
    residuals: those of the layers that were fitted on images, as `fit_pools` measures them.
    """

    before: Graph
    after: Graph
    changes: tuple[Change, ...]
    options: str
    overlay: str = ""
    flat: str = ""
    residuals: Mapping[str, float] = field(default_factory=dict)

    @property
    def replaced(self) -> list[Change]:
        return [change for change in self.changes if not change.left]

    @property
    def kept(self) -> list[Change]:
        return [change for change in self.changes if change.left]

    @property
    def names(self) -> dict[str, str]:
        """The names in the written file of the layers of `after`."""
        return flat_names(self.after) if self.flat else {name: name for name in self.after.names}

    @cached_property
    def fields_before(self) -> dict[str, Fields]:
        """What each layer saw of the input."""
        return receptive_fields(self.before)

    @cached_property
    def fields_after(self) -> dict[str, Fields]:
        """What each layer sees of the input."""
        return receptive_fields(self.after)

    def taps(self, change: Change) -> Taps | None:
        """The taps of a layer; None if it kept its kernel."""
        return None if change.after is None else taps_of(change.after)

    def __str__(self) -> str:
        return f"{len(self.replaced)} replaced, {len(self.kept)} kept\n{costs_text(self.before, self.after)}"

    def __repr__(self) -> str:
        return f"ConversionReport({self.before.name}: {len(self.replaced)} replaced, {len(self.kept)} kept)"

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild convert --json` prints."""
        return {
            "options": self.options,
            "replaced": [self._replaced(change) for change in self.replaced],
            "kept": [
                {"name": change.name, "op": change.before.name, "at": _at(change), "why": change.why}
                for change in self.kept
            ],
            "before": totals(self.before),
            "after": totals(self.after),
        }

    def _replaced(self, change: Change) -> dict[str, Any]:
        taps = self.taps(change)
        return {
            "name": change.name,
            "op": change.before.name,
            "at": _at(change),
            "placement": change.placement,
            "before": _layer(self.before[change.name]) | _seen(self.fields_before[change.name]),
            "after": _layer(self.after[change.name])
            | _seen(self.fields_after[change.name])
            | {"inserted": list(change.inserted)},
            "taps": None if taps is None else dataclasses.asdict(taps),
            "exact": change.exact,
            "residual": self.residuals.get(change.name),
            "why": change.why,
        }


def _layer(node: Node) -> dict[str, Any]:
    arguments = {
        field.name: getattr(node.op, field.name)
        for field in dataclasses.fields(node.op)
        if field.name in ("kernel", "stride", "padding", "dilation", "groups", "spd_kernel")
    }
    return {
        "op": node.op.name,
        **arguments,
        "shape": list(node.shape),
        "params": node.parameters,
        "macs": node.macs,
    }


def _seen(fields: Fields) -> dict[str, Any]:
    """Height and width of what one output sees of the input, and the input's pixels from one output to the next."""
    return {
        "receptive_field": [float(axis.size) for axis in fields],
        "output_stride": [float(axis.stride) for axis in fields],
    }


def _at(change: Change) -> str:
    return f"{change.location.file}:{change.location.line}" if change.location else ""


def costs_text(before: Graph, after: Graph) -> str:
    """Two lines with the parameters and MACs of a network before and after a change, and their ratios."""
    return (
        f"parameters  {before.parameters:,} -> {after.parameters:,}  {ratio(before.parameters, after.parameters)}\n"
        f"MACs        {scaled(before.macs)} -> {scaled(after.macs)}  {ratio(before.macs, after.macs)}"
    )
