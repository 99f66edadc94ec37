"""All mistakes of an architecture that can be found before it is expanded."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from spdbuild.architecture.document import Block, Document
from spdbuild.architecture.expand import FURTHER_INPUTS
from spdbuild.architecture.failures import MAX_PROBLEMS
from spdbuild.architecture.line import Argument, Call, Line, Reference
from spdbuild.architecture.reserved import why_no_input, why_no_layer
from spdbuild.architecture.unused import read_names
from spdbuild.declaring.arguments import Signature, fit, signature, type_hints
from spdbuild.errors import ArgumentError, Location, Problem, SpdbuildError, nearest
from spdbuild.ops import OPS
from spdbuild.text.expression import ExpressionError, check_expression, evaluate, names
from spdbuild.text.source import Value
from spdbuild.wording.phrases import cut

#: Names that a block's lines may use besides its parameters.
BLOCK_NUMBERS = frozenset({"in_channels"})


def check_document(document: Document) -> list[Problem]:
    """Problems of the calls: unknown names, arguments, types, missing and reserved names, circular blocks.

    At most MAX_PROBLEMS: to look for the name that was meant takes time, which would grow with the square of the file.
    """
    return list(islice(_Checker(document).problems(), MAX_PROBLEMS))


@dataclass
class _Checker:
    document: Document

    def __post_init__(self) -> None:
        self.numbers = set(self.document.vars).union(*self.document.variants.values())
        self.weighted: dict[str, bool] = {}

    def problems(self) -> Iterator[Problem]:
        yield from self._cycles()
        yield from self._names()
        yield from self._expected_variants()
        yield from self._variants()
        for block in self.document.blocks.values():
            known = self.numbers | set(block.signature.arguments) | BLOCK_NUMBERS
            for tree in block.defaults.values():
                yield from self._expression(tree, known, block.text, block)
            yield from self._lines(block.lines, known, _Names.of_block(self.document.unread))
        around, elsewhere = set(self.document.inputs), set[str]()
        for section, lines in self.document.sections.items():
            yield from self._lines(lines, self.numbers, _Names(around, elsewhere, self.document.unread))
            names = {line.name for line in lines if line.name}
            around |= names if section == "layers" else set()
            elsewhere |= set() if section == "layers" else {f"{section}.{name}" for name in names}
        for name, (tree, value) in self.document.scale.items():
            yield from self._expression(tree, self.numbers | {name.rpartition(".")[2]}, str(value.data), value)

    def _expected_variants(self) -> Iterator[Problem]:
        """Variants under `expect` that the file does not have."""
        expected = self.document.values.get("expect")
        for _, counts in expected.items() if expected else ():
            for variant, count in counts.items():
                if variant not in self.document.variants:
                    hint = nearest(variant, self.document.variants) or "write one number"
                    yield Problem(f"{self.document.model} has no variant '{variant}'", count.key, hint)

    def _variants(self) -> Iterator[Problem]:
        """Numbers in variants that are not vars and that nothing reads, such as a misspelt var."""
        variants = self.document.root.get("variants")
        known = self.document.vars.keys() | self.document.unread | read_names(self.document)
        for variant, numbers in variants.items() if variants else ():
            for name, value in numbers.items():
                if name not in known:
                    message = f"the variant {variant} sets '{name}', which is no var, and nothing reads it"
                    yield Problem(message, value.key, nearest(name, known))

    def _lines(self, lines: list[Line], known: set[str], tensors: _Names) -> Iterator[Problem]:
        later = {line.name for line in lines if line.name}
        for line in lines:
            inside = known | {"index"} if line.repeat else known
            yield from self._call(line.call, inside)
            for tree, numbers in ((line.when, inside), (line.repeat, known)):
                if tree is not None:
                    yield from self._expression(tree, numbers, line.call.text, line.call)
            if not line.name and self._has_weights(line.call.function):
                call = line.call
                hint = (
                    f"write '- some_name: {call.text.strip()[:40]}'; a name keeps the weights when lines are inserted"
                )
                yield Problem(f"{call.function} has weights, so it needs a name", call.location, hint)
            for reference in line.reads or ():
                yield from tensors.check(reference, line, later)
            if line.name:
                tensors.lines.add(line.name)
            else:
                tensors.unnamed[line.label] = line.call.function

    def _names(self) -> Iterator[Problem]:
        """Names that inputs, sections and lines cannot have."""
        for name in self.document.inputs:
            yield from _refused("an input", name, why_no_input(name), self.document.values["inputs"].data[name].key)
        for block in self.document.blocks.values():
            yield from _refused_lines(block.lines, nested=True)
        for section, lines in self.document.sections.items():
            if section != "layers":
                why = why_no_layer(section, nested=False)
                yield from _refused("a section", section, why, self.document.section_key(section))
            yield from _refused_lines(lines, nested=section != "layers")

    def _call(self, call: Call, known: set[str]) -> Iterator[Problem]:
        taken = self._signature(call.function)
        if taken is None:
            if call.function not in self.document.unread:
                hint = nearest(call.function, [*OPS, *self.document.blocks])
                yield Problem(f"there is no op or block '{cut(call.function)}'", call.location, hint)
            return
        try:
            bound = taken.bind(len(call.positional), [argument.name for argument in call.named])
        except ArgumentError as error:
            yield from error.at(self._misfit(call, taken, error)).problems
            bound = []
        for name, argument in zip(bound, (*call.positional, *call.named), strict=False):
            problems = list(self._expression(argument.tree, known, call.text, call))
            yield from problems or self._constant(call, name, argument)

    def _misfit(self, call: Call, taken: Signature, error: ArgumentError) -> Location:
        """The argument that the error is about: a named one, or the first surplus positional one."""
        for argument in call.named:
            if argument.name == error.argument:
                return call.at(argument.start)
        if len(call.positional) > len(taken.arguments):
            return call.at(call.positional[len(taken.arguments)].start)
        return call.location

    def _constant(self, call: Call, name: str, argument: Argument) -> Iterator[Problem]:
        """Check the type of an argument that is a constant, whatever the numbers of the file."""
        if call.function in self.document.blocks or any(names(argument.tree)):
            return
        try:
            value = evaluate(argument.tree, {}, call.text)
            fit(value, type_hints(OPS[call.function])[name], name)
        except ExpressionError as error:
            yield from error.at(call.at(error.offset)).problems
        except ArgumentError as error:
            yield from error.at(call.at(argument.tree.col_offset)).problems

    def _expression(self, tree: ast.expr, known: set[str], text: str, place: Call | Block | Value) -> Iterator[Problem]:
        if self.document.unread:
            known = known | self.document.unread.intersection(name.id for name in names(tree))
        for error in check_expression(tree, known, text):
            yield from error.at(place.at(error.offset)).problems

    def _signature(self, function: str) -> Signature | None:
        block = self.document.blocks.get(function)
        if block:
            return block.signature
        return signature(OPS[function]) if function in OPS else None

    def _has_weights(self, function: str) -> bool:
        block = self.document.blocks.get(function)
        if block is None:
            return function in OPS and OPS[function].weights
        if function not in self.weighted:
            self.weighted[function] = False  # For blocks that contain themselves.
            self.weighted[function] = any(self._has_weights(line.call.function) for line in block.lines)
        return self.weighted[function]

    def _cycles(self) -> Iterator[Problem]:
        """Blocks that contain themselves."""
        done: set[str] = set()

        def visit(block: Block, path: tuple[str, ...]) -> Iterable[SpdbuildError]:
            for line in block.lines:
                inner = self.document.blocks.get(line.call.function)
                if inner is None or inner.name in done:
                    continue
                if inner.name in path:
                    circle = " -> ".join((*path[path.index(inner.name) :], inner.name))
                    yield ArgumentError(f"the block '{inner.name}' contains itself", hint=circle).at(line.call.location)
                else:
                    yield from visit(inner, (*path, inner.name))
            done.add(block.name)

        for block in self.document.blocks.values():
            for error in visit(block, (block.name,)):
                yield from error.problems


def _refused_lines(lines: list[Line], *, nested: bool) -> Iterator[Problem]:
    for line in lines:
        place = line.value.key if line.name else line.call.location
        yield from _refused("a layer", line.label, why_no_layer(line.label, nested=nested), place)


def _refused(what: str, name: str, why: str, place: Location | None) -> Iterator[Problem]:
    if why:
        hint = f"choose another name, such as {name.strip('_')}_1"
        yield Problem(f"'{name}' cannot be the name of {what}: {why}", place, hint)


@dataclass
class _Names:
    """The tensors that a line may name.

    around: one-word names from outside the list. elsewhere: `section.name` of the sections above.
    unread: those of the document.
    """

    around: set[str]
    elsewhere: set[str]
    unread: frozenset[str]

    def __post_init__(self) -> None:
        self.lines: set[str] = set()
        #: Ops or blocks of the lines that have no name and so cannot be read, by label.
        self.unnamed: dict[str, str] = {}

    @classmethod
    def of_block(cls, unread: frozenset[str]) -> _Names:
        return cls({"input", *FURTHER_INPUTS}, set(), unread)

    def check(self, reference: Reference, line: Line, later: set[str]) -> Iterator[Problem]:
        first, _, rest = reference.text.partition(".")
        if first in self.lines or first in self.around or f"{first}.{rest.partition('.')[0]}" in self.elsewhere:
            return
        place = line.value.at(reference.column)
        if first in later:
            what = "itself" if first == line.name else "a layer below it"
            yield Problem(f"the line reads {what}: '{reference.text}'", place, "a line reads lines above it")
            return
        if not self.unread.isdisjoint(reference.text.split(".")):
            return
        known = self.lines | self.around | self.elsewhere
        hint = nearest(reference.text, {name for name in known if name not in FURTHER_INPUTS})
        if first in self.unnamed:
            hint = f"give the line a name of its own: '- some_name: {self.unnamed[first]}(...)'"
        yield Problem(f"there is no layer '{cut(reference.text)}' above this line", place, hint)
