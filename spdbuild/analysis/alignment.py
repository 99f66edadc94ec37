"""Two networks side by side: which layer of the one corresponds to which of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from spdbuild.graph import Graph, Node, Output


@dataclass(frozen=True)
class Pair:
    """A layer before and after; one of them is None if there is no such layer.

    changed: which of "name", "op", "inputs" and "shape" differ; empty for equal layers and for layers on one side only.
    """

    before: Node | None
    after: Node | None
    changed: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        return self.before is not None and self.after is not None and not self.changed

    def to_dict(self) -> dict[str, Any]:
        """The entry of `spdbuild diff --json`."""
        before, after = (node and node.to_dict() for node in (self.before, self.after))
        return {"changed": list(self.changed), "before": before, "after": after}

    def __repr__(self) -> str:
        nodes = [node for node in (self.before, self.after) if node]
        names, ops = ([node.name for node in nodes], [str(node.op) for node in nodes])
        name, op = (" -> ".join(dict.fromkeys(texts)) for texts in (names, ops))
        alone = "new" if self.before is None else "gone" if self.after is None else "equal"
        return f"Pair({name}: {op}; {'changed: ' + ', '.join(self.changed) if self.changed else alone})"


def align(before: Graph, after: Graph) -> list[Pair]:
    """All layers of two graphs, in the order of `after`; a removed layer comes before the one that followed it.

    Layers of the same name are partners; of the others, those whose ops form the same sequence on both sides.
    """
    partners = _partners(before, after)
    gone = _gone(before, partners)
    sources = {new: old for old, new in partners.items()}
    pairs = []
    for node in after:
        if node.name in sources:
            old = before[sources[node.name]]
            pairs += [Pair(lost, None) for lost in gone.pop(old.name, [])]
            pairs.append(Pair(old, node, _changed(old, node, partners)))
        else:
            pairs.append(Pair(None, node))
    return pairs + [Pair(lost, None) for rest in gone.values() for lost in rest]


def _partners(before: Graph, after: Graph) -> dict[str, str]:
    """Names of `before` -> names of `after`."""
    partners = {name: name for name in before.names if name in after}
    old = [node for node in before if node.name not in partners]
    new = [node for node in after if node.name not in partners]
    matcher = SequenceMatcher(None, [str(node.op) for node in old], [str(node.op) for node in new], autojunk=False)
    for start, other, length in matcher.get_matching_blocks():
        partners |= {old[start + i].name: new[other + i].name for i in range(length)}
    return partners


def _gone(before: Graph, partners: Mapping[str, str]) -> dict[str, list[Node]]:
    """The layers without a partner, under the name of the next layer that has one; the last under an empty name."""
    gone: dict[str, list[Node]] = {}
    waiting: list[Node] = []
    for node in before:
        if node.name not in partners:
            waiting.append(node)
        elif waiting:
            gone[node.name], waiting = waiting, []
    return gone | {"": waiting}


def _changed(old: Node, new: Node, partners: Mapping[str, str]) -> tuple[str, ...]:
    inputs = tuple(Output(partners.get(output.node, ""), output.index) for output in old.inputs)
    differences = {
        "name": old.name != new.name,
        "op": old.op != new.op,
        "inputs": inputs != new.inputs,
        "shape": old.shapes != new.shapes,
    }
    return tuple(what for what, differs in differences.items() if differs)
