"""The lines of one module, before they are compared with those of others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from spdbuild.declaring.arguments import arguments_of
from spdbuild.declaring.registry import snake_case
from spdbuild.graph.names import free_name
from spdbuild.importing.steps import Place, Step, Steps
from spdbuild.importing.tree import Part
from spdbuild.ops import OPS

#: Families of ops whose lines have a name only where a line other than the next reads them.
_NAMELESS = ("activation", "merging", "regularization", "dense")
#: Names that mean something else right of an arrow.
_RESERVED = re.compile(r"input\d*")

#: How a module is called: the block's name, and the values of its parameters.
Call = tuple[str, dict[str, Any]]


def class_name(kind: str) -> str:
    """A module's class as our names are written: `BasicBlock` is basic_block; Sequential only says that it chains."""
    return "sequence" if kind == "Sequential" else snake_case(kind)


@dataclass(frozen=True)
class Entry:
    """One line.

    label: its name, or empty. callee: an op or block, called with `arguments`. word: goes into the name if the module
        around it only numbers it.
    reads: (line, output); line -1 - k is input k of the block or network.
    count: repeats in a chain. several: whether the call has several outputs.
    """

    label: str
    callee: str
    arguments: dict[str, Any]
    reads: tuple[Place, ...]
    word: str
    count: int = 1
    several: bool = False


@dataclass(frozen=True)
class Body:
    """The lines of one module, the channels of its first input, and which outputs of lines it returns."""

    entries: tuple[Entry, ...]
    in_channels: int
    outputs: tuple[Place, ...]

    @property
    def structure(self) -> tuple[Any, ...]:
        """All but the numbers; None does not count as one, because the language cannot write it."""
        return tuple(
            (
                e.label,
                e.callee,
                e.reads,
                e.count > 1,
                e.several,
                [n for n, value in e.arguments.items() if value is None],
            )
            for e in self.entries
        )

    @property
    def returned(self) -> tuple[Place, ...]:
        """The outputs that have to be named: none where the only one is that of the last line."""
        last = ((len(self.entries) - 1, 0),)
        return () if self.outputs == last and not self.entries[-1].several else self.outputs


def body_of(part: Part, steps: Steps, calls: dict[Part, Call], names: tuple[str, ...] = ()) -> Body:
    """The lines of a module whose inner modules are called as `calls` say.

    names: those of its inputs, which no line can have.
    """
    last = {inner.last: line for line, inner in enumerate(part.parts)}
    inputs = {place: (-1 - number, 0) for number, place in enumerate(part.reads)}

    def line(place: Place) -> Place:
        return inputs[place] if place in inputs else (last[place[0]], place[1])

    entries = [_entry(inner, steps, calls, line) for inner in part.parts]
    wanted = ((part.last, 0),) if part.kind else steps.outputs
    entries, outputs = _chained(entries, tuple(map(line, wanted)))
    body = Body(tuple(entries), steps.shape(part.reads[0]).channels, outputs)
    return replace(body, entries=tuple(_labelled(body, names)))


def _entry(part: Part, steps: Steps, calls: dict[Part, Call], line: Callable[[Place], Place]) -> Entry:
    reads = tuple(map(line, part.reads))
    if part in calls:
        callee, arguments = calls[part]
        return Entry(part.label, callee, arguments, reads, class_name(part.kind))
    step: Step = steps.steps[part.first]
    return Entry(part.label, step.op.name, arguments_of(step.op), reads, step.op.name, several=len(step.shapes) > 1)


def _chained(entries: list[Entry], outputs: tuple[Place, ...]) -> tuple[list[Entry], tuple[Place, ...]]:
    """Merge consecutive entries that a module numbers, with equal calls, each of which reads the one before."""
    readers = [place[0] for entry in entries for place in entry.reads] + [line for line, _ in outputs]
    moved: dict[int, int] = {}
    found: list[Entry] = []

    def place(old: Place) -> Place:
        return (moved[old[0]], old[1]) if old[0] >= 0 else old

    for number, entry in enumerate(entries):
        before = found[-1] if found else entry
        alike = (entry.callee, entry.arguments) == (before.callee, before.arguments)
        counted = entry.label.isdigit() and before.label.isdigit() and not entry.several
        chained = number > 0 and entry.reads == ((number - 1, 0),) and len(before.reads) == 1
        if alike and counted and chained and readers.count(number - 1) == 1:
            found[-1] = replace(before, count=before.count + 1)
        else:
            found.append(replace(entry, reads=tuple(map(place, entry.reads))))
        moved[number] = len(found) - 1
    return found, tuple(map(place, outputs))


def _labelled(body: Body, names: tuple[str, ...]) -> Iterator[Entry]:
    """The entries with unique names that our language allows, or without a name where none is needed."""
    taken = set(names)
    read = {line for line, _ in body.returned}
    for number, entry in enumerate(body.entries):
        read |= {line for line, _ in entry.reads if entry.reads != ((number - 1, 0),)}
    for number, entry in enumerate(body.entries):
        if number not in read and not entry.several and _is_nameless(entry):
            yield replace(entry, label="")
            continue
        label = free_name(_identifier(entry), taken)
        taken.add(label)
        yield replace(entry, label=label)


def _is_nameless(entry: Entry) -> bool:
    """Whether the line may go without a name: it has no weights, and is not a pool that the module names."""
    if entry.callee not in OPS or OPS[entry.callee].weights:
        return False
    return OPS[entry.callee].family in _NAMELESS or not entry.label


def _identifier(entry: Entry) -> str:
    label = re.sub(r"\W+", "_", entry.label, flags=re.ASCII).strip("_")
    if not label:
        return entry.word
    return f"{entry.word}_{label}" if label[0].isdigit() or _RESERVED.fullmatch(label) else label
