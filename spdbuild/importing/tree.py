"""Steps -> the tree of the modules in which they run, as far as our blocks can represent these.

A block has one output, its last line. A module of which more is read from outside, or that returns something else, is
dissolved: its parts become parts of the module around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from spdbuild.importing.steps import Place, Step, Steps


@dataclass(eq=False)
class Part:
    """A step, or a module with its parts.

    label: name within the module around it, empty for a function.
    kind: class of the module; empty for a step, and for the whole network.
    first, last: the steps that it spans. reads: places before it that it reads, in the order of reading.
    """

    label: str
    first: int
    last: int
    reads: tuple[Place, ...]
    kind: str = ""
    parts: list[Part] = field(default_factory=list)

    @property
    def height(self) -> int:
        return 1 + max(part.height for part in self.parts) if self.parts else 0

    def containers(self) -> Iterator[Part]:
        """This module and those in it, in the order in which they end."""
        for part in self.parts:
            yield from part.containers()
        if self.parts:
            yield self


def module_tree(steps: Steps, *, flat: bool = False) -> Part:
    """The whole network; with `flat` without any module in it."""
    builder = _Builder(steps, flat)
    count = len(steps.steps)
    parts = builder.parts(range(count), 0)
    return Part("", 0, count - 1, tuple((-1 - number, 0) for number in range(len(steps.inputs))), parts=parts)


class _Builder:
    def __init__(self, steps: Steps, flat: bool) -> None:
        self.steps, self.flat = steps.steps, flat
        #: The last step that reads any output of a step, or one past the end for what the network returns.
        self.last_reader: dict[int, int] = {}
        for number, step in enumerate(steps.steps):
            self.last_reader |= {source: number for source, _ in step.reads}
        self.last_reader |= {source: len(steps.steps) for source, _ in steps.outputs}

    def parts(self, numbers: Sequence[int], depth: int) -> list[Part]:
        found: list[Part] = []
        for name, group in groupby(numbers, lambda number: (*self.steps[number].path, "")[depth]):
            inside = list(group)
            if name:
                found += self.module(name, inside, depth)
            else:
                found += [self.step(number) for number in inside]
        return found

    def module(self, name: str, numbers: list[int], depth: int) -> list[Part]:
        """The module as one part, as its only part, or dissolved."""
        inner = self.parts(numbers, depth + 1)
        kind = self.steps[numbers[0]].kinds[depth]
        if len(inner) == 1:
            inner[0].label = name
            inner[0].kind = kind if inner[0].parts and kind != "Sequential" else inner[0].kind
            return inner
        first, last = numbers[0], numbers[-1]
        if self.flat or not self._is_block(first, last):
            for part in inner:
                part.label = f"{name}.{part.label}" if part.label else ""
            return inner
        reads = [place for part in inner for place in part.reads if place[0] < first]
        return [Part(name, first, last, tuple(dict.fromkeys(reads)), kind, inner)]

    def step(self, number: int) -> Part:
        step: Step = self.steps[number]
        return Part(step.label, number, number, step.reads)

    def _is_block(self, first: int, last: int) -> bool:
        """Whether nothing but the only output of the last step is read from outside."""
        inner = all(self.last_reader.get(number, number) <= last for number in range(first, last))
        return inner and len(self.steps[last].shapes) == 1
