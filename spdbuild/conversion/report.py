"""What a conversion did, layer by layer, and what it cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from spdbuild.graph import Graph, Node
from spdbuild.passes import Change


@dataclass(frozen=True)
class ConversionReport:
    """The graphs before and after, the changes in the order of the network, and the pass as a call.

    overlay: why the written file extends the old one instead of rewriting its lines; empty if it does not.
    """

    before: Graph
    after: Graph
    changes: tuple[Change, ...]
    options: str
    overlay: str = ""

    @property
    def replaced(self) -> list[Change]:
        return [change for change in self.changes if not change.left]

    @property
    def kept(self) -> list[Change]:
        return [change for change in self.changes if change.left]

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild convert --json` prints."""
        return {
            "options": self.options,
            "replaced": [self._replaced(change) for change in self.replaced],
            "kept": [
                {"name": change.name, "op": change.before.name, "at": _at(change), "why": change.why}
                for change in self.kept
            ],
            "before": _totals(self.before),
            "after": _totals(self.after),
        }

    def _replaced(self, change: Change) -> dict[str, Any]:
        return {
            "name": change.name,
            "op": change.before.name,
            "at": _at(change),
            "placement": change.placement,
            "before": _layer(self.before[change.name]),
            "after": _layer(self.after[change.name]) | {"inserted": list(change.inserted)},
            "exact": change.exact,
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


def _totals(graph: Graph) -> dict[str, int]:
    return {"params": graph.parameters, "macs": graph.macs}


def _at(change: Change) -> str:
    return f"{change.location.file}:{change.location.line}" if change.location else ""
