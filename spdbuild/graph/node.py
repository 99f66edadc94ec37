"""One op at one place of a network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from spdbuild.errors import Location, ShapeError, SpdbuildError
from spdbuild.ops.op import Family, Op
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn


class Output(NamedTuple):
    """One output of a node; `index` counts the outputs of an op that has several."""

    node: str
    index: int = 0  # type: ignore[assignment]  # tuple.index is not used on outputs

    def __str__(self) -> str:
        return f"{self.node}.{self.index}" if self.index else self.node


@dataclass(frozen=True)
class Origin:
    """Where a node comes from.

    location: the line that asked for it.
    trail: the blocks around that line, innermost first, as messages print them.
    inserted_by: the pass that made it, if any.
    """

    location: Location | None = None
    trail: tuple[str, ...] = ()
    inserted_by: str = ""

    def place(self, error: SpdbuildError) -> SpdbuildError:
        """`error` with this place."""
        trail = ((f"inserted by {self.inserted_by}",) if self.inserted_by else ()) + self.trail
        return error.at(self.location, trail=trail)


@dataclass(frozen=True)
class Input(Op):
    """A tensor that the caller gives; its shape is declared under `inputs:`.

    Source: none; this op makes the inputs of a graph ordinary nodes.
    """

    name: ClassVar[str] = "input"
    family: ClassVar[Family] = "input"
    arity: ClassVar[tuple[int, int | None]] = (0, 0)
    sizes: tuple[int, ...] = ()

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(*self.sizes)

    def module(self, *inputs: Shape) -> nn.Module:
        raise NotImplementedError("an input is an argument of the model, not a module")


@dataclass(frozen=True)
class Node:
    """A named op, the outputs that it reads, and the shapes of its own outputs.

    Nodes are immutable: a pass replaces one with another of the same name.
    """

    name: str
    op: Op
    inputs: tuple[Output, ...] = ()
    shapes: tuple[Shape, ...] = ()
    input_shapes: tuple[Shape, ...] = ()
    origin: Origin = field(default=Origin(), compare=False)

    @property
    def shape(self) -> Shape:
        """Shape of the only, or the first, output."""
        return self.shapes[0]

    @property
    def parameters(self) -> int:
        return self.op.parameters(*self.input_shapes)

    @property
    def macs(self) -> int:
        return self.op.macs(*self.input_shapes)

    @property
    def container(self) -> str:
        """The name of the block or section that holds the node; empty at the top."""
        return self.name.rpartition(".")[0]

    def to_dict(self) -> dict[str, Any]:
        """The node with what it costs, as `--json` of the commands prints it."""
        return {
            "name": self.name,
            "op": self.op.name,
            "call": str(self.op),
            "inputs": list(map(str, self.inputs)),
            "shapes": [list(shape) for shape in self.shapes],
            "params": self.parameters,
            "macs": self.macs,
        }

    def inferred(self, input_shapes: tuple[Shape, ...]) -> Node:
        """The node with its shapes for these inputs; if they do not fit, the error names them."""
        least, most = self.op.arity
        if len(input_shapes) < least or (most is not None and len(input_shapes) > most):
            wanted = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            inputs = "input" if wanted == "1" else "inputs"
            raise self.origin.place(ShapeError(f"{self.op.name} takes {wanted} {inputs}, got {len(input_shapes)}"))
        try:
            shapes = self.op.shape(*input_shapes)
        except SpdbuildError as error:
            met = ", ".join(f"{name} {shape}" for name, shape in zip(self.inputs, input_shapes, strict=True))
            message = error.problems[0].message
            named = message if message.startswith(f"{self.op.name}:") else f"{self.op.name}: {message}"
            told = type(error)(named) if isinstance(error, ShapeError) else error
            raise self.origin.place(told.at(None, hint=error.problems[0].hint or f"inputs: {met}")) from None
        all_shapes = (shapes,) if isinstance(shapes, Shape) else tuple(shapes)
        return replace(self, shapes=all_shapes, input_shapes=input_shapes)
