"""Blocks, repeats and variants -> a graph of ops."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from spdbuild.architecture.document import Block, Document
from spdbuild.architecture.failures import Failures
from spdbuild.architecture.imports import imports_of
from spdbuild.architecture.line import Argument, Call, Line, Reference
from spdbuild.declaring.arguments import construct, signature
from spdbuild.errors import ArgumentError, ShapeError, SourceError, SpdbuildError, UnknownNameError, nearest
from spdbuild.graph import Graph, Input, Origin, Output
from spdbuild.ops import OPS, Op
from spdbuild.shape import Shape
from spdbuild.text.expression import ExpressionError, evaluate, names
from spdbuild.text.schema import describe
from spdbuild.text.source import Value
from spdbuild.wording.phrases import cut

#: Limits of the expansion: no real network comes near them, but a typing mistake may exceed them.
MAX_LINES = 50_000
MAX_REPEATS = 10_000
MAX_CHARACTERS = 5_000_000
MAX_NESTING = 50
#: Names of the inputs of a block that reads several.
FURTHER_INPUTS = frozenset(f"input{number}" for number in range(1, 100))

#: The output of a line that failed, or that depends on one which did: its readers fail, too, but without a message.
_UNKNOWN = Output("")


@dataclass(frozen=True, eq=False)
class Use:
    """One expansion of a line: where it stands, with which numbers, and inside which other use.

    name: name of the node or block instance.
    list_name: the section or block whose list holds the line.
    arguments: bound values of the call.
    """

    line: Line
    name: str
    list_name: str
    arguments: Mapping[str, Any]
    inside: Use | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Expansion:
    """A graph, and for each of its nodes the line that made it."""

    graph: Graph
    uses: Mapping[str, Use]


def expand(
    document: Document,
    variant: str | None = None,
    numbers: Mapping[str, Any] | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
) -> Expansion:
    """The graph of a document for one variant, with some vars overridden; all lines that fail are told together.

    inputs: one shape per input, in place of the declared ones.
    """
    scope = _scope(document, variant, numbers or {})
    shapes = list(document.inputs.values()) if inputs is None else inputs
    return _Expander(document, scope, shapes).run()


def _scope(document: Document, variant: str | None, numbers: Mapping[str, Any]) -> dict[str, Any]:
    scope = document.vars
    variants = document.variants
    if variant is not None and variant not in variants:
        known = nearest(str(variant), variants) or f"{document.model} has no variants"
        raise UnknownNameError(f"{document.model} has no variant '{variant}'", hint=known)
    if variants and variant is None:
        listed, first = ", ".join(variants), next(iter(variants))
        error = UnknownNameError(
            f"{document.model} has the variants {listed}, and none was chosen",
            hint=f"choose one, for example --variant {first} (from Python: variant='{first}')",
        )
        raise error.at(document.values["variants"].key)
    scope |= variants.get(variant or "", {})
    for name, value in numbers.items():
        if name not in scope:
            hint = nearest(name, scope) or "it has none"
            raise ArgumentError(f"{document.model} has no var '{name}'", argument=name, hint=hint)
        if isinstance(scope[name], int | float) and not isinstance(value, int | float):
            raise ArgumentError(f"the var {name} is a number, got {describe(value)}", argument=name)
        scope[name] = value
    return scope


@dataclass
class _List:
    """The state of the expansion of one list of lines."""

    name: str
    prefix: str
    scope: Mapping[str, Any]
    tensors: dict[str, Output]
    current: Output
    use: Use | None
    trail: tuple[str, ...]

    def full_name(self, label: str) -> str:
        return f"{self.prefix}.{label}" if self.prefix else label


class _UnknownNumberError(Exception):
    """A number that depends on a line which failed."""


class _LimitReachedError(Exception):
    """The expansion ends early, after the failure that is told last."""


class _Expander:
    def __init__(self, document: Document, scope: Mapping[str, Any], shapes: Sequence[Sequence[int]]) -> None:
        self.document, self.scope, self.shapes = document, scope, shapes
        self.graph = Graph(document.model)
        self.uses: dict[str, Use] = {}
        #: Outputs by the full name of each named line, for references from other sections and into blocks.
        self.results: dict[str, Output] = {}
        self.lines = self.characters = 0
        self.failures = Failures()

    def run(self) -> Expansion:
        with suppress(_LimitReachedError):
            self._sections()
        if self.failures:
            raise self.failures.error()
        return Expansion(self.graph, self.uses)

    def _sections(self) -> None:
        for name, sizes in zip(self.document.inputs, self.shapes, strict=True):
            value = self.document.values["inputs"].data[name]
            self.graph.add(name, Input(tuple(sizes)), origin=Origin(value.key))
        inputs = {name: Output(name) for name in self.document.inputs}
        current = next(iter(inputs.values()))
        for section, lines in self.document.sections.items():
            prefix = "" if section == "layers" else section
            state = _List(section, prefix, self.scope, dict(inputs), current, None, ())
            current = self._lines(lines, state)
        self.graph.outputs = tuple(self._outputs(current))
        self.graph.imports = imports_of(self.document)

    def _outputs(self, last: Output) -> Iterator[Output]:
        listed = self.document.values.get("outputs")
        if listed is None and last != _UNKNOWN:
            yield from (Output(last.node, i) for i in range(len(self.graph[last.node].shapes)))
        for value in listed or ():
            try:
                yield self._output(value)
            except SpdbuildError as error:
                self._fail(value.data, error)

    def _output(self, value: Value) -> Output:
        name, _, number = value.data.rpartition(".")
        found = self._result(value.data)
        if found:
            return found
        if name in self.results and number.isdigit():
            whole = Output(self.results[name].node, int(number))
            if whole.index < len(self.graph[whole.node].shapes):
                return whole
        if value.data in self.document.inputs:
            hint = f"a line can return it: {value.data}_again: identity() <- {value.data}"
            error = UnknownNameError(f"'{cut(value.data)}' is an input, and outputs are layers", hint=hint)
        else:
            error = UnknownNameError(
                f"there is no layer '{cut(value.data)}'", hint=self._known(value.data, self.results)
            )
        raise error.at(value.location)

    def _lines(self, lines: list[Line], state: _List) -> Output:
        for line in lines:
            try:
                state.current = self._line(line, state)
            except _UnknownNumberError:
                state.current = _UNKNOWN
            except SpdbuildError as error:
                offset = error.offset if isinstance(error, ExpressionError) else line.call.start
                self._fail(state.full_name(line.label), error.at(line.value.at(offset), trail=state.trail))
                state.current = _UNKNOWN
            if line.name:
                state.tensors[line.name] = state.current
                self.results[state.full_name(line.name)] = state.current
        return state.current

    def _fail(self, name: str, error: SpdbuildError) -> None:
        """Remember the failure of what `name` stands for, and go on unless a limit is reached."""
        self.failures.add(name, error)
        if self.failures.enough or self.lines > MAX_LINES or self.characters > MAX_CHARACTERS:
            raise _LimitReachedError

    def _line(self, line: Line, state: _List) -> Output:
        self._count_line()
        inputs = [self._resolve(reference, line, state) for reference in line.reads or ()] or [state.current]
        name = state.full_name(line.label)
        by_repeat = line.repeat is not None and line.when is not None and _reads(line.when, "index")
        # Before the count, which may make no sense where it is false.
        if not by_repeat and not self._holds(line, state):
            return inputs[0]
        if line.repeat is None:
            return self._once(line, name, inputs, state)
        for number in range(self._count(line.repeat, line.call, state)):
            self._count_line()
            repeat = replace(state, scope={**state.scope, "index": number})
            if not by_repeat or self._holds(line, repeat):
                inputs = [self._once(line, f"{name}.{number}", inputs, repeat), *inputs[1:]]
            self.results[f"{name}.{number}"] = inputs[0]
            if inputs[0] == _UNKNOWN:  # The next would fail at the same places.
                break
        return inputs[0]

    def _count_line(self) -> None:
        self.lines += 1
        if self.lines > MAX_LINES:
            raise SourceError(f"the network has more than {MAX_LINES:,} lines, with those of blocks and repeats")

    def _once(self, line: Line, name: str, inputs: list[Output], state: _List) -> Output:
        block = self.document.blocks.get(line.call.function)
        if block:
            return self._block(line, block, name, inputs, state)
        arguments = self._arguments(line.call, signature(OPS[line.call.function]).arguments, state)
        op = self._op(line.call, arguments)
        if _UNKNOWN in inputs:
            return _UNKNOWN
        shapes = [self.graph.shape_of(output) for output in inputs]
        plain = self._simplified(op, shapes)
        if plain is None:
            return inputs[0]
        self.graph.add(name, plain, inputs, Origin(line.value.at(line.call.start), state.trail))
        if len(self.shapes) == 1:
            plain.check_image(Shape(*self.shapes[0]), *shapes)
        self.uses[name] = Use(line, name, state.name, arguments, state.use)
        return Output(name)

    def _simplified(self, op: Op, shapes: list[Any]) -> Op | None:
        try:
            return op.simplified(*shapes)
        except (ShapeError, TypeError):
            return op  # `add` reports the misfit with the names of the inputs.

    def _op(self, call: Call, arguments: Mapping[str, Any]) -> Op:
        try:
            return construct(OPS[call.function], arguments)
        except ArgumentError as error:
            place = _place_of(error.argument, call, signature(OPS[call.function]).arguments)
            message = f"{call.function}: {error.problems[0].message}"
            raise ArgumentError(message, hint=error.problems[0].hint).at(place) from None

    def _block(self, line: Line, block: Block, name: str, inputs: list[Output], state: _List) -> Output:
        if len(state.trail) >= MAX_NESTING:
            raise SourceError(f"blocks are nested more than {MAX_NESTING} deep")
        arguments = self._arguments(line.call, block.signature.arguments, state)
        place = line.value.at(line.call.start)
        where = f"{place.file}:{place.line}: in {name}: {block.name}"
        in_channels = _UNKNOWN if inputs[0] == _UNKNOWN else self.graph.shape_of(inputs[0]).channels
        scope = {**self.scope, **arguments, "in_channels": in_channels}
        for parameter, tree in block.defaults.items():
            if parameter not in arguments:
                scope[parameter] = self._default(tree, scope, block, (f"{where}()", *state.trail))
        bound = {parameter: scope[parameter] for parameter in block.signature.arguments}
        shown = ", ".join(f"{key}={_short(value)}" for key, value in bound.items())
        tensors = {"input": inputs[0]} | {f"input{i}": output for i, output in enumerate(inputs, 1)}
        use = Use(line, name, state.name, bound, state.use)
        inner = _List(block.name, name, scope, tensors, inputs[0], use, (f"{where}({shown})", *state.trail))
        return self._lines(block.lines, inner)

    def _arguments(self, call: Call, parameters: tuple[str, ...], state: _List) -> dict[str, Any]:
        given = [*zip(parameters, call.positional, strict=False), *((a.name, a) for a in call.named)]
        return {name: self._value(name, argument, call, state) for name, argument in given}

    def _value(self, name: str, argument: Argument, call: Call, state: _List) -> Any:
        value = self._evaluate(argument.tree, state.scope, call.text)
        scale = self.document.scale.get(f"{call.function}.{name}") or self.document.scale.get(name)
        if state.use is None and scale is not None and isinstance(value, int | float):
            tree, source = scale
            try:
                value = self._evaluate(tree, {**state.scope, name: value}, str(source.data))
            except ExpressionError as error:
                raise error.at(source.at(error.offset)) from None
        return value

    def _default(self, tree: ast.expr, scope: Mapping[str, Any], block: Block, trail: tuple[str, ...]) -> Any:
        try:
            return self._evaluate(tree, scope, block.text)
        except ExpressionError as error:
            raise error.at(block.at(error.offset), trail=trail) from None

    def _evaluate(self, tree: ast.expr, scope: Mapping[str, Any], text: str) -> Any:
        self.characters += (tree.end_col_offset or 0) - tree.col_offset
        if self.characters > MAX_CHARACTERS:
            raise SourceError(f"the network evaluates more than {MAX_CHARACTERS:,} characters of expressions")
        if scope.get("in_channels") is _UNKNOWN and _reads(tree, "in_channels"):
            raise _UnknownNumberError
        return evaluate(tree, scope, text)

    def _holds(self, line: Line, state: _List) -> bool:
        """Whether `when` is true; it is where there is none."""
        if line.when is None:
            return True
        value = self._evaluate(line.when, state.scope, line.call.text)
        if not isinstance(value, bool):
            raise ExpressionError(f"when must be true or false, got {describe(value)}", line.when)
        return value

    def _count(self, tree: ast.expr, call: Call, state: _List) -> int:
        value = self._evaluate(tree, state.scope, call.text)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 <= value <= MAX_REPEATS or value != int(value):
            got = describe(value)
            raise ExpressionError(f"a repeat count must be a whole number from 0 to {MAX_REPEATS:,}, got {got}", tree)
        return int(value)

    def _resolve(self, reference: Reference, line: Line, state: _List) -> Output:
        name = reference.text
        found = state.tensors.get(name) or self._result(state.full_name(name)) or self._result(name)
        if found:
            return found
        parent, _, last = name.rpartition(".")
        if parent and last.isdigit():
            whole = self._resolve(replace(reference, text=parent), line, state)
            if whole == _UNKNOWN:
                return _UNKNOWN
            shapes = self.graph[whole.node].shapes
            if int(last) < len(shapes):
                return Output(whole.node, int(last))
            hint = f"'{parent}' has {len(shapes)} outputs" if len(shapes) > 1 else f"'{parent}' has one output"
            raise UnknownNameError(f"there is no output '{name}'", hint=hint).at(line.value.at(reference.column))
        error = self._unknown(name, state)
        raise error.at(line.value.at(reference.column))

    def _result(self, name: str) -> Output | None:
        """The output of a line by its full name; unknown if that of a block around it is, None if there is no line."""
        found, parent = self.results.get(name), name.rpartition(".")[0]
        return _UNKNOWN if not found and parent and self._result(parent) == _UNKNOWN else found

    def _unknown(self, name: str, state: _List) -> UnknownNameError:
        inputs = sum(tensor in state.tensors for tensor in FURTHER_INPUTS)
        if name in FURTHER_INPUTS and state.use is not None:
            message = f"the block has {inputs} input{'s' * (inputs != 1)} here, and no '{name}'"
            hint = "a line gives a block several inputs behind the arrow: name: block() <- first, second"
            return UnknownNameError(message, hint=hint)
        hint = self._known(name, {*state.tensors, *self.results})
        return UnknownNameError(f"there is no layer '{cut(name)}' above this line", hint=hint)

    def _known(self, name: str, known: Iterable[str]) -> str:
        """A hint for a name that cannot be read."""
        if name in self.uses and not self.uses[name].line.name:
            return "give the line a name of its own, which can be read"
        return nearest(name, known)


def _reads(tree: ast.expr, number: str) -> bool:
    return any(name.id == number for name in names(tree))


def _place_of(argument: str, call: Call, parameters: tuple[str, ...]) -> Any:
    """Where the value of `argument` is written in the call; the call itself if the argument is not given."""
    for name, written in [*zip(parameters, call.positional, strict=False), *((a.name, a) for a in call.named)]:
        if name == argument:
            return call.at(written.tree.col_offset)
    return call.location


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(value) if isinstance(value, int | float) else "..."
