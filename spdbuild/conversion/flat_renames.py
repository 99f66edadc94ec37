"""Rename tables of a network whose layers got flat names: from these to the names that the tables gave the old ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from spdbuild.graph import Graph
from spdbuild.graph.text import flat_names
from spdbuild.modules import compile_graph
from spdbuild.text.source import Value
from spdbuild.weight_transfer.carry_over import by_layer
from spdbuild.weights.rename import ORDER, compile_rules, rename, stated_order


def flat_tables(
    tables: Mapping[str, Mapping[str, Value | str]], before: Graph, graph: Graph
) -> dict[str, dict[str, str]]:
    """The rename tables for `graph` as a flat file, made of those for `before`, with a line for each name.

    Layers that `before` does not have get no line. A table is left out if no order of its lines keeps the result of one
    from another.
    """
    if not tables:
        return {}
    flat = flat_names(graph)
    names = [
        (f"{flat[layer]}.{name}", f"{layer}.{name}")
        for layer, tensors in by_layer(graph, compile_graph(graph, "meta").state_dict()).items()
        if layer in before
        for name in tensors
    ]
    found = {}
    for table, lines in tables.items():
        rules = compile_rules(lines)
        wanted = {new: rename(old, rules) for new, old in names}
        order = stated_order(lines)
        made = {**({ORDER: order} if order else {}), **_in_order(dict(_lines(wanted)))}
        again = compile_rules(made)
        if all(rename(ours, again) == theirs for ours, theirs in wanted.items()):
            found[table] = made
    return found


def _lines(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A line for each pair of names that differ, without the last parts that they share."""
    for ours, theirs in names.items():
        one, other = ours.split("."), theirs.split(".")
        while len(one) > 1 and len(other) > 1 and one[-1] == other[-1]:
            one, other = one[:-1], other[:-1]
        if one != other:
            yield ".".join(one), ".".join(other)


def _in_order(lines: Mapping[str, str]) -> dict[str, str]:
    """The lines, each behind those that would change what it gives or that are for a part of what it is for."""
    ahead = {
        ours: [other for other in lines if other != ours and (_has(theirs, other) or _has(other, ours))]
        for ours, theirs in lines.items()
    }
    try:
        return {ours: lines[ours] for ours in TopologicalSorter(ahead).static_order()}
    except CycleError:
        return dict(lines)


def _has(name: str, run: str) -> bool:
    """Whether a name has a run of whole parts."""
    return f".{run}." in f".{name}."
