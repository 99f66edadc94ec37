"""The base class of all ops, and their registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from spdbuild.declaring.arguments import call_text
from spdbuild.declaring.registry import Registry
from spdbuild.errors import ShapeError
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn

Family = Literal[
    "input",
    "convolution",
    "normalization",
    "activation",
    "pooling",
    "resampling",
    "merging",
    "dense",
    "regularization",
    "detection",
]

#: More channels or a larger window than this is a typing mistake.
MAX_ARGUMENT = 1_000_000


@dataclass(frozen=True)
class Example:
    """An op with inputs and the output shape that a person worked out; the contract tests run it."""

    op: Op
    inputs: list[Shape]
    output: Shape | tuple[Shape, ...]


@dataclass(frozen=True)
class Op:
    """Base of all ops: frozen dataclasses whose fields are the arguments of a call.

    An op knows shapes and costs for given input shapes, and makes its torch module. It knows no names, no files and no
    other op. Wrong arguments raise ArgumentError in `__post_init__`, shapes that do not fit raise ShapeError; both
    without a place, which the caller adds.

    The methods get the shape of each input. An op declares as many as it takes, `shape(self, x: Shape)`; the Any in the
    signatures here permits that to a type checker.
    """

    #: Name in YAML; the registry sets it.
    name: ClassVar[str] = ""
    family: ClassVar[Family]
    #: Whether a line with this op needs a name, because its module has weights or buffers.
    weights: ClassVar[bool] = False
    #: Least and greatest number of inputs; None: no upper limit.
    arity: ClassVar[tuple[int, int | None]] = (1, 1)

    def shape(self, *inputs: Any, **_: Any) -> Shape | tuple[Shape, ...]:
        """Shape of the output; of each output for an op with several."""
        raise NotImplementedError

    def parameters(self, *inputs: Any, **_: Any) -> int:
        """Number of trainable parameters."""
        return 0

    def macs(self, *inputs: Any, **_: Any) -> int:
        """Multiply-accumulates for one sample, of convolutions and linear layers only."""
        return 0

    def module(self, *inputs: Any, **_: Any) -> nn.Module:
        """The torch module; torch is imported in here and nowhere else in the package `ops`."""
        raise NotImplementedError

    def simplified(self, *inputs: Any, **_: Any) -> Op | None:
        """A simpler op that does the same for these inputs, None for an op that does nothing, itself otherwise."""
        return self

    def check_image(self, image: Shape, *inputs: Any, **_: Any) -> None:
        """Raise ShapeError if inputs cannot come from an image of that shape; for ops whose arguments count pixels."""

    @classmethod
    def example(cls) -> Example:
        """An example for the documentation and the contract tests."""
        raise NotImplementedError

    def __str__(self) -> str:
        return call_text(self)


OPS: Registry[Op] = Registry("op", "spdbuild.ops", "spdbuild.ops")


def same_shape(op: str, inputs: tuple[Shape, ...]) -> Shape:
    """The shape that all inputs share."""
    if len(set(inputs)) != 1:
        raise ShapeError(f"{op}: inputs must have the same shape, got {' and '.join(map(str, inputs))}")
    return inputs[0]
