"""A layer that two networks share, as the transfer rules see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from spdbuild.errors import PassError, SpdbuildError, WeightsError
from spdbuild.graph import Node, Output
from spdbuild.weight_transfer.embedding import Embedding

if TYPE_CHECKING:
    from torch import Tensor

_PLACE_BEFORE = 'give the strided convolution in front of it placement "before": --before NAME'


@dataclass(frozen=True)
class Layer:
    """A layer before and after a conversion.

    inputs: how its old inputs lie within its new ones.
    weights: the old layer's tensors by their names within the layer.
    lossy: whether taps that do not fit into the new kernel may be dropped.
    like: a tensor whose type and device new tensors take.
    """

    old: Node
    new: Node
    inputs: tuple[Embedding, ...]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    lossy: bool = False
    like: Tensor | None = None

    @property
    def x(self) -> Embedding:
        """The first, or only, input."""
        return self.inputs[0]

    def tensor(self, name: str) -> Tensor:
        """A tensor of the old layer; WeightsError if the weights lack it."""
        if name not in self.weights:
            raise WeightsError(f"the weights have no '{self.old.name}.{name}'", hint="are they of this architecture?")
        return self.weights[name]

    def output(self, like: Embedding | None = None, step: tuple[int, int] = (1, 1)) -> Embedding:
        """The output as an embedding: with the channels of `like`, or channel by channel."""
        of = Output(self.old.name)
        return replace(like, of=of) if like is not None else Embedding.same(of, self.old.shape.channels, step)

    def refusal(self, why: str, hint: str = _PLACE_BEFORE) -> SpdbuildError:
        """The error that this layer cannot compute what it did."""
        read = ", ".join(map(str, self.new.inputs))
        message = f"'{self.new.name}' ({self.new.op.name}, reading {read}) cannot keep its function: {why}"
        return self.new.origin.place(PassError(message, hint=hint))


@dataclass(frozen=True)
class Carried:
    """The result of a rule: the new layer's tensors by their names within it, and its outputs."""

    weights: Mapping[str, Tensor]
    outputs: Sequence[Embedding]
