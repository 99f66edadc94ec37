"""What a file declares and its network does not use: usually a slip of the author, never a reason to refuse it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from spdbuild.architecture.document import Block, Document
from spdbuild.architecture.expand import Expansion, Use
from spdbuild.architecture.line import Line
from spdbuild.declaring.arguments import signature
from spdbuild.errors import Problem, SourceError, nearest
from spdbuild.graph import Graph
from spdbuild.ops import OPS
from spdbuild.text.expression import names
from spdbuild.wording.phrases import some

_HINT = "use it, or leave it out"


def unused(document: Document, expansions: Sequence[Expansion]) -> tuple[Problem, ...]:
    """Warnings about layers without effect, and inputs, vars, parameters, blocks and scaling that nothing uses.

    expansions: of every variant; a layer counts as used if any of them uses it.
    """
    found = [
        *_vars(document),
        *_scales(document),
        *_blocks(document),
        *_inputs(document, expansions),
        *_layers(expansions),
    ]
    own = [problem for problem in found if _is_own(problem, document)]
    inherited = _inherited(document, [problem for problem in found if not _is_own(problem, document)])
    told = SourceError.gather([*own, *inherited]).problems if found else ()
    return tuple(replace(problem, kind="warning") for problem in told)


def _is_own(problem: Problem, document: Document) -> bool:
    """Whether it is about the file itself, and not about one that it extends."""
    return problem.location is not None and problem.location.file == document.source.name


def read_names(document: Document) -> set[str]:
    """The names that any expression of the file reads."""
    lines = [line for lines in _lists(document) for line in lines]
    defaults = [tree for block in document.blocks.values() for tree in block.defaults.values()]
    return _names([*_expressions(lines), *defaults, *(tree for tree, _ in document.scale.values())])


def _vars(document: Document) -> Iterator[Problem]:
    value = document.values.get("vars")
    read = read_names(document)
    for name, entry in value.items() if value else ():
        if name not in read:
            hint = _near(name, read - document.vars.keys()) or _HINT
            yield Problem(f"nothing reads the var '{name}'", entry.key, hint)


def _scales(document: Document) -> Iterator[Problem]:
    given = {rule for lines in document.sections.values() for line in lines for rule in _rules(document, line)}
    for name, (_, value) in document.scale.items():
        if name not in given:
            yield Problem(f"no line of a section gives the argument '{name}'", value.key, _near(name, given) or _HINT)


def _rules(document: Document, line: Line) -> Iterator[str]:
    """The keys under `scale` that are for an argument of this line."""
    block, call = document.blocks.get(line.call.function), line.call
    taken = block.signature if block else signature(OPS[call.function])
    for name in taken.bind(len(call.positional), [argument.name for argument in call.named]):
        yield from (name, f"{call.function}.{name}")


def _blocks(document: Document) -> Iterator[Problem]:
    calls = [line for lines in _lists(document) for line in lines]
    called = {line.call.function for line in calls}
    for block in document.blocks.values():
        if block.name not in called:
            yield Problem(f"no line uses the block '{block.name}'", block.location, _HINT)
        read = _names([*_expressions(block.lines), *block.defaults.values()])
        for parameter in block.signature.arguments:
            if parameter not in read:
                message = f"the lines of '{block.name}' do not read the parameter '{parameter}'"
                yield Problem(message, block.location, _HINT)
    for line in calls:
        inner = document.blocks.get(line.call.function)
        if inner is not None and len(line.reads or ()) > 1:
            yield from _unread_inputs(line, inner)


def _unread_inputs(line: Line, block: Block) -> Iterator[Problem]:
    read = {reference.text.split(".")[0] for inner in block.lines for reference in inner.reads or ()}
    if "input" in read or not block.lines or block.lines[0].reads is None:
        read.add("input1")
    for number, reference in enumerate(line.reads or (), 1):
        if f"input{number}" not in read:
            message = f"the lines of '{block.name}' do not read input{number}, which is '{reference.text}' here"
            yield Problem(message, line.value.at(reference.column), _HINT)


def _inputs(document: Document, expansions: Iterable[Expansion]) -> Iterator[Problem]:
    read = {name for expansion in expansions for name in _with_effect(expansion.graph)}
    for name, entry in document.values["inputs"].items():
        if name not in read:
            yield Problem(f"no output depends on the input '{name}'", entry.key, _HINT)


def _layers(expansions: Iterable[Expansion]) -> Iterator[Problem]:
    """The lines without effect in any of their uses; of a block without effect, only the line that calls it."""
    dead: dict[Line, list[Use]] = {}
    alive: set[Line] = set()
    for expansion in expansions:
        effective = _with_effect(expansion.graph)
        for name, use in expansion.uses.items():
            for around in _around(use):
                if name in effective:
                    alive.add(around.line)
                else:
                    dead.setdefault(around.line, []).append(around)
    for line, uses in dead.items():
        if line not in alive and any(use.inside is None or use.inside.line in alive for use in uses):
            what = f"'{line.label}'" if line.name else f"this {line.call.function}"
            hint = "a line without '<-' reads the line before it, and a block or file returns its last line"
            yield Problem(f"no output depends on {what}", line.call.location, hint)


def _around(use: Use | None) -> Iterator[Use]:
    while use is not None:
        yield use
        use = use.inside


def _with_effect(graph: Graph) -> set[str]:
    """Names of the nodes on which an output depends."""
    found: set[str] = set()
    todo = [output.node for output in graph.outputs]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [output.node for output in graph[name].inputs]
    return found


def _inherited(document: Document, found: Sequence[Problem]) -> Iterator[Problem]:
    """One warning for all problems in files that this one extends."""
    extends = document.root.get("extends")
    if found and extends is not None:
        told = some([problem.message for problem in found], 1, "; ")
        yield Problem(f"not all of '{extends.data}' is used: {told}", extends.key)


def _lists(document: Document) -> Iterator[list[Line]]:
    yield from document.sections.values()
    for block in document.blocks.values():
        yield block.lines


def _expressions(lines: Iterable[Line]) -> Iterator[ast.expr]:
    for line in lines:
        yield from (argument.tree for argument in line.call.arguments)
        yield from (tree for tree in (line.when, line.repeat) if tree is not None)


def _names(trees: Iterable[ast.expr]) -> set[str]:
    return {name.id for tree in trees for name in names(tree)}


def _near(name: str, known: Iterable[str]) -> str:
    """A hint at a similar name, if there is one; a list of all known names would not help here."""
    hint = nearest(name, known)
    return hint if hint.startswith("did you") else ""
