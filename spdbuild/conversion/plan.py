"""Which lines of an architecture a pass changes, so that the written file keeps the lines of its author.

A block is expanded many times, and what a pass did may differ from one use to the next. Uses of a block that were
treated alike share its lines; uses that were not need a copy of the block under another name. A use in which the pass
had nothing to do (for example a convolution of stride 1) is compatible with any treatment.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spdbuild.architecture.document import Block, Document
from spdbuild.architecture.expand import Expansion, Use
from spdbuild.architecture.line import Line
from spdbuild.declaring.arguments import signature
from spdbuild.errors import Location
from spdbuild.graph.names import free_name
from spdbuild.ops import OPS
from spdbuild.passes import Change


class CannotRewrite(Exception):
    """The changes cannot be written as changes of lines; the reason and its place are for the report."""

    def __init__(self, reason: str, place: Location | None = None) -> None:
        super().__init__(f"{place.file}:{place.line}: {reason}" if place else reason)


@dataclass(frozen=True)
class Rename:
    """Another op for a line, with further arguments."""

    function: str
    arguments: str = ""


@dataclass(frozen=True)
class Unstride:
    """The line's convolution gets stride 1."""


@dataclass(frozen=True)
class Insert:
    """A new line after the line."""

    name: str
    call: str


@dataclass(frozen=True)
class Keep:
    """The line stays although it could have been changed."""


@dataclass(frozen=True)
class Switch:
    """The line uses a copy of its block: the treatment with this number."""

    treatment: int


Edit = Rename | Unstride | Insert | Keep | Switch
#: What happens to the lines of one list: (line, aspect of the line) -> edit.
Edits = dict[tuple[Line, str], Edit]


@dataclass
class Treatment:
    """One way in which the lines of a block are changed, and its number of uses; `name` is for the written file."""

    edits: Edits = field(default_factory=dict)
    uses: int = 0
    name: str = ""

    def accepts(self, edits: Edits) -> bool:
        return all(self.edits.get(key, edit) == edit for key, edit in edits.items())


@dataclass(frozen=True)
class Plan:
    """The edits of every section, and the treatments of every block that is changed."""

    sections: Mapping[str, Edits]
    blocks: Mapping[str, list[Treatment]]


def plan_edits(document: Document, converted: Iterable[tuple[Expansion, list[Change]]]) -> Plan:
    """The edits of the text of `document` that reproduce what the pass did to each of the expansions.

    Several expansions are those of several variants. Raises CannotRewrite.
    """
    planner = _Planner(document)
    for expansion, changes in converted:
        planner.collect(expansion, changes)
    return planner.plan()


class _Planner:
    def __init__(self, document: Document) -> None:
        self.document = document
        #: Edits by instance: a use of a block, or the name of a section.
        self.edits: dict[Use | str, Edits] = {}
        #: Uses of blocks, inner blocks of an instance before the instance.
        self.instances: dict[str, dict[Use, None]] = {}
        self.treatments: dict[str, list[Treatment]] = {}

    def collect(self, expansion: Expansion, changes: list[Change]) -> None:
        for use in expansion.uses.values():
            while use.inside is not None:
                use = use.inside
                self.instances.setdefault(use.line.call.function, {})[use] = None
        for change in changes:
            use = expansion.uses[change.name]
            for target, key, edit in _edits(change, use, expansion):
                self._add(target, key, edit)

    def plan(self) -> Plan:
        for block in _inner_first(self.document.blocks):
            treatments = self.treatments[block] = []
            for use in self.instances.get(block, ()):
                edits = self.edits.get(use)
                if not edits:
                    continue
                number = self._treat(treatments, edits)
                self._add(use.inside or use.list_name, (use.line, "block"), Switch(number))
        self._name()
        sections = {name: self.edits.get(name, {}) for name in self.document.sections}
        return Plan(sections, {name: treatments for name, treatments in self.treatments.items() if treatments})

    def _add(self, target: Use | str, key: tuple[Line, str], edit: Edit) -> None:
        edits = self.edits.setdefault(target, {})
        if edits.setdefault(key, edit) != edit:
            raise CannotRewrite(f"the repeats of '{key[0].label}' were not treated alike", key[0].location)

    def _treat(self, treatments: list[Treatment], edits: Edits) -> int:
        for number, treatment in enumerate(treatments):
            if treatment.accepts(edits):
                treatment.edits.update(edits)
                treatment.uses += 1
                return number
        treatments.append(Treatment(dict(edits), uses=1))
        return len(treatments) - 1

    def _name(self) -> None:
        """A treatment that changes nothing keeps the block's name, else the commonest does; the others are copies."""
        taken = set(self.document.blocks)
        for block in _inner_first(self.document.blocks):
            treatments = self.treatments[block]
            first = min(treatments, key=lambda t: (self._changed(t), -t.uses), default=None)
            for treatment in treatments:
                treatment.name = block if treatment is first else free_name(f"{block}_spd", taken)
                taken.add(treatment.name)

    def _changed(self, treatment: Treatment) -> bool:
        return any(self._is_change(line, edit) for (line, _), edit in treatment.edits.items())

    def _is_change(self, line: Line, edit: Edit) -> bool:
        if isinstance(edit, Switch):
            function = line.call.function
            return self.treatments[function][edit.treatment].name != function
        return not isinstance(edit, Keep)


def _edits(change: Change, use: Use, expansion: Expansion) -> Iterator[tuple[Use | str, tuple[Line, str], Edit]]:
    """What a change of one node means for lines: (list, (line, aspect), edit)."""
    place = use.inside or use.list_name
    if change.left or change.after is None:
        yield place, (use.line, "op"), Keep()
    elif change.placement == "before":
        yield place, (use.line, "op"), Rename(change.after.name, _spd_arguments(change))
    else:
        if sum(other.line is use.line and other.inside is use.inside for other in expansion.uses.values()) > 1:
            reason = f"'{use.line.label}' is repeated, and each repeat needs a space_to_depth of its own"
            raise CannotRewrite(reason, use.line.location)
        yield place, (use.line, "op"), Unstride()
        name = change.inserted[0]
        anchor = expansion.uses[change.anchor]
        call = f"space_to_depth({_stride_above(use, anchor.inside)})"
        yield anchor.inside or anchor.list_name, (anchor.line, "insert"), Insert(name.rpartition(".")[2], call)


def _spd_arguments(change: Change) -> str:
    kernel = getattr(change.after, "spd_kernel", "exact")
    if kernel == "exact":
        return ""
    return f'spd_kernel="{kernel}"' if isinstance(kernel, str) else f"spd_kernel={kernel}"


def _stride_above(use: Use, holder: Use | None) -> str:
    """The stride of the convolution `use` as an expression that is valid in the list `holder` around it."""
    tree = _argument(use, "stride", signature(OPS[use.line.call.function]).arguments)
    inside = use.inside
    while inside is not holder:
        if inside is None:
            raise CannotRewrite(f"'{use.name}' and the layer behind it are in unrelated blocks", use.line.location)
        tree = _Substitute(inside).visit(tree)
        inside = inside.inside
    text = ast.unparse(ast.fix_missing_locations(tree))
    return text.replace("True", "true").replace("False", "false")


def _argument(use: Use, name: str, parameters: tuple[str, ...]) -> Any:
    call = use.line.call
    given = dict(zip(parameters, call.positional, strict=False)) | {a.name: a for a in call.named}
    if name not in given:
        raise CannotRewrite(f"'{use.name}' does not say its {name}", use.line.location)
    return ast.parse(ast.unparse(given[name].tree), mode="eval").body


class _Substitute(ast.NodeTransformer):
    """Replaces the parameters of a block with the arguments of its use."""

    def __init__(self, use: Use) -> None:
        self.use = use

    def visit_Name(self, node: ast.Name) -> Any:  # noqa: N802
        if node.id not in self.use.arguments:
            return node
        call = self.use.line.call
        written = [a.tree for a in call.named if a.name == node.id]
        parameters = list(self.use.arguments)
        if not written and parameters.index(node.id) < len(call.positional):
            written = [call.positional[parameters.index(node.id)].tree]
        if written:
            return ast.parse(ast.unparse(written[0]), mode="eval").body
        return ast.Constant(self.use.arguments[node.id])


def _inner_first(blocks: Mapping[str, Block]) -> list[str]:
    """Names of the blocks, every block after those that its lines use."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        for line in blocks[name].lines:
            if line.call.function in blocks and line.call.function not in order:
                visit(line.call.function)
        order.setdefault(name)

    for name in blocks:
        visit(name)
    return list(order)
