"""Parameters and MACs of whole networks."""

from __future__ import annotations

from spdbuild.graph.graph import Graph
from spdbuild.wording.quantities import ratio, scaled
from spdbuild.wording.tables import Table


def totals(graph: Graph) -> dict[str, int]:
    """Both numbers as the documents of commands have them."""
    return {"params": graph.parameters, "macs": graph.macs}


def totals_table(before: Graph, after: Graph, names: tuple[str, str] = ("before", "after")) -> Table:
    """Both numbers of two networks, in columns of these names, and their ratios."""
    table = Table(("total", *names, "ratio"), (*names, "ratio"))
    params, macs = (before.parameters, after.parameters), (before.macs, after.macs)
    table.add("parameters", *(f"{number:,}" for number in params), ratio(*params))
    table.add("MACs", *map(scaled, macs), ratio(*macs))
    return table
