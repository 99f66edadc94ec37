"""A tree of modules -> the lines of a network and its blocks: modules that differ only in numbers share a block."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spdbuild.declaring.arguments import literal, signature
from spdbuild.graph.names import free_name
from spdbuild.importing.bodies import Body, Call, Entry, body_of, class_name
from spdbuild.importing.steps import Place, Steps
from spdbuild.importing.tree import Part
from spdbuild.ops import OPS

#: Values of one argument, or of the input channels, in every module that shares a block.
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Block:
    """A block of the written file."""

    name: str
    parameters: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """The blocks, each after those that it uses; the network's lines; and what it returns, if not its last line."""

    blocks: tuple[Block, ...]
    lines: tuple[str, ...]
    outputs: tuple[str, ...]


def find_blocks(steps: Steps, root: Part) -> Network:
    """The blocks and lines of a network; the blocks of the innermost modules come first."""
    inner = [part for part in root.containers() if part is not root]
    blocks: list[Block] = []
    calls: dict[Part, Call] = {}
    for height in sorted({part.height for part in inner}):
        groups: dict[Any, list[tuple[Part, Body]]] = {}
        for part in inner:
            if part.height == height:
                body = body_of(part, steps, calls)
                groups.setdefault((part.kind, len(part.reads), repr(body.structure)), []).append((part, body))
        for members in groups.values():
            taken = {block.name for block in blocks} | set(OPS)
            blocks.append(_block(free_name(_name([part for part, _ in members]), taken), members, calls))
    names = tuple(steps.inputs)
    body = body_of(root, steps, calls, names)
    lines = tuple(_lines([body], names, _Parameters([body])))
    return Network(tuple(blocks), lines, tuple(_reference(place, body, names) for place in body.returned))


def _block(name: str, members: list[tuple[Part, Body]], calls: dict[Part, Call]) -> Block:
    """The block of modules of one structure; how each of them calls it is noted in `calls`."""
    parts, bodies = zip(*members, strict=True)
    parameters = _Parameters(bodies)
    inputs = [f"input{number + 1}" for number in range(len(parts[0].reads))] if len(parts[0].reads) > 1 else ["input"]
    lines = tuple(_lines(bodies, inputs, parameters))
    for number, part in enumerate(parts):
        calls[part] = name, {parameter: values[number] for parameter, values in parameters.values.items()}
    return Block(name, tuple(parameters.values), lines)


class _Parameters:
    """The parameters of a block: numbers that differ between the modules that share it."""

    def __init__(self, bodies: Sequence[Body]) -> None:
        self.values: dict[str, Values] = {}
        self.in_channels: Values = tuple(body.in_channels for body in bodies)

    def expression(self, name: str, line: str, values: Values) -> str:
        """How the block writes an argument: as a number, in terms of known parameters, or as a new parameter."""
        if all(value == values[0] and type(value) is type(values[0]) for value in values):
            return literal(values[0])
        known = next((known for known, others in self.values.items() if others == values), None)
        if known or values == self.in_channels:
            return known or "in_channels"
        for known, others in [*self.values.items(), ("in_channels", self.in_channels)]:
            if factor := _multiple(values, others):
                return f"{factor} * {known}"
            if factor := _multiple(others, values):
                return f"{known} // {factor}"
        parameter = name if name not in self.values else free_name(f"{line}_{name}", set(self.values))
        self.values[parameter] = values
        return parameter


def _multiple(values: Values, others: Values) -> int | None:
    """The whole number by which every value is a multiple of its counterpart in `others`; None if there is none."""
    if not all(type(value) is int and value > 0 for value in (*values, *others)):
        return None
    factors = {value // other if value % other == 0 else 0 for value, other in zip(values, others, strict=True)}
    return factors.pop() or None if len(factors) == 1 else None


def _lines(bodies: Sequence[Body], inputs: Sequence[str], parameters: _Parameters) -> Iterator[str]:
    """The lines that the bodies, which have the same structure, share."""
    for number, entries in enumerate(zip(*(body.entries for body in bodies), strict=True)):
        entry: Entry = entries[0]
        text = f"{entry.callee}({', '.join(_arguments(entries, parameters))})"
        if entry.count > 1:
            text += f" * {parameters.expression('depth', entry.label, tuple(e.count for e in entries))}"
        if entry.reads != ((number - 1, 0),):
            text += f" <- {', '.join(_reference(place, bodies[0], inputs) for place in entry.reads)}"
        yield f"{entry.label}: {text}" if entry.label else text


def _arguments(entries: Sequence[Entry], parameters: _Parameters) -> Iterator[str]:
    """The arguments of a call, the first by position; an op's are left out where they equal their defaults."""
    callee = entries[0].callee
    defaults = _defaults(callee)
    for position, name in enumerate(entries[0].arguments):
        values = tuple(entry.arguments[name] for entry in entries)
        if name in defaults and all(value == defaults[name] for value in values):
            continue
        expression = parameters.expression(name, entries[0].label or callee, values)
        yield expression if position == 0 else f"{name}={expression}"


def _defaults(callee: str) -> dict[str, Any]:
    if callee not in OPS:
        return {}
    fields = {field.name: field.default for field in dataclasses.fields(OPS[callee])}
    return {name: fields[name] for name in signature(OPS[callee]).arguments if fields[name] is not dataclasses.MISSING}


def _reference(place: Place, body: Body, inputs: Sequence[str]) -> str:
    line, output = place
    if line < 0:
        return inputs[-1 - line]
    entry = body.entries[line]
    return f"{entry.label}.{output}" if entry.several else entry.label


def _name(parts: Sequence[Part]) -> str:
    """The name of a block: the class of its modules or, if they only chain others, their name in the module around."""
    label = parts[0].label.replace(".", "_")
    if parts[0].kind != "Sequential" or label[:1].isdigit():
        return class_name(parts[0].kind)
    return label if len({part.label for part in parts}) == 1 else label.rstrip("0123456789_") or label
