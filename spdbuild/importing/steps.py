"""A network as a list of ops in the order in which they run: the form between a torch module and our text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from spdbuild.ops import Op
from spdbuild.shape import Shape

#: A step, and which of its outputs; step -1 - k is input k of the network.
Place = tuple[int, int]


class Value(NamedTuple):
    """An output of a step.

    last: whether the channels are the last axis in the module, (N, H, W, C); in our steps they are always the first.
    """

    step: int
    output: int = 0
    last: bool = False

    @property
    def place(self) -> Place:
        """Step and output: the value regardless of its layout."""
        return self.step, self.output


@dataclass(frozen=True)
class Step:
    """One op.

    reads: places of the values that it reads.
    path: names of the modules within which it runs, outermost first.
    kinds: their classes. label: its own name; empty for a function.
    weights: the state_dict of our op's module.
    """

    op: Op
    reads: tuple[Place, ...]
    shapes: tuple[Shape, ...]
    path: tuple[str, ...]
    kinds: tuple[str, ...]
    label: str
    weights: dict[str, Tensor] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Steps:
    """A network: its inputs by name, its steps, and the values that it returns."""

    inputs: dict[str, Shape]
    steps: tuple[Step, ...]
    outputs: tuple[Place, ...]

    def shape(self, place: Place) -> Shape:
        """Shape of an output of a step, or of an input."""
        step, output = place
        return list(self.inputs.values())[-1 - step] if step < 0 else self.steps[step].shapes[output]
