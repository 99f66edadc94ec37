"""Sections of a recipe that are not registered parts: the network, its initial weights, the average, the teacher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.roles import Role, role
from spdbuild.training.recipe.places import Placed
from spdbuild.weights import StoredWeights


@dataclass(frozen=True)
class Network(Placed):
    """The network, and how it is rewritten.

    architecture: built-in name or path, such as cifar_resnet20.
    variant: one of the architecture's variants.
    vars: values for the architecture's vars; `classes` is the number of classes of the data unless it is given here.
    passes: calls of rewrite passes, run in this order: "strided_to_spd(kernel='exact')".
    input: shape [C, H, W] of an image for a detector, such as [3, 640, 640]; empty: the one that the architecture
        declares. A classifier takes that of its data, and any other is an error.
    """

    architecture: str
    variant: str | None = field(default=None, metadata=role(Role.USED))
    vars: dict[str, Any] = field(default_factory=dict, metadata=role(Role.USED))
    passes: tuple[str, ...] = ()
    input: tuple[int, int, int] | None = field(default=None, metadata=role(Role.USED))


@dataclass(frozen=True)
class TrainedWeights(Placed, StoredWeights):
    """File with the weights of a trained network, all of which must fit; or a mapping that also says which of several.

    file: safetensors file or torch checkpoint, with the network's names or those of a rename table of its architecture.
    """

    short: ClassVar[str] = "file"

    file: str


@dataclass(frozen=True)
class FirstWeights(TrainedWeights):
    """The weights that a run starts from; a string alone is the file, which must then fit exactly.

    fresh: patterns of weights that are not taken from the file but stay random, such as "head"; with them the file may
        hold weights that the network does not have.
    """

    fresh: tuple[str, ...] = ()


@dataclass(frozen=True)
class EmaOptions:
    """A moving average of the trained model, which is evaluated and saved in its place.

    decay: share of the average that is kept at each step.
    ramp: steps after which the decay has reached 63 % of its value; 0: it has its full value from the start.
    """

    decay: float = 0.9999
    ramp: float = 2000.0

    def __post_init__(self) -> None:
        require_range(self, "decay", least=0, below=1)
        require_range(self, "ramp", least=0)


@dataclass(frozen=True, kw_only=True)
class DistillOptions(Network):
    """A trained network whose outputs are a second target.

    weights: those of the teacher, all of which must fit.
    temperature: divisor of the logits before they are compared.
    share: weight of the distance from the teacher in the loss; the rest is the weight of the targets.
    """

    weights: TrainedWeights
    temperature: float = 4.0
    share: float = 0.5

    def __post_init__(self) -> None:
        require_range(self, "temperature", above=0)
        require_range(self, "share", least=0, most=1)
