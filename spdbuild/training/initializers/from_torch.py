"""The initializers of torch.nn.init, with its names, arguments and defaults, and what torch's layers start as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from spdbuild.declaring.arguments import arguments_of
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.training.initializers.initializer import INITIALIZERS, Initializer

#: Of any argument; float32 ends at 3.4e38, and the width of an interval must fit, too.
_LARGEST = 1e30


@INITIALIZERS.register
@dataclass(frozen=True)
class LayerDefault(Initializer):
    """What torch starts a layer as: a convolution or linear layer uniformly within +-1 / sqrt(fan_in), a norm at 1.

    The bias is torch's as well. It is for layers that an earlier pattern matches: {"*": orthogonal, head: torch}.
    """

    name: ClassVar[str] = "torch"

    def fill(self, weight: Tensor) -> None:
        """Leave the weight as it is."""


class _FromTorch(Initializer):
    """Base: fills a weight by the function of torch.nn.init that has the same name and arguments."""

    def __post_init__(self) -> None:
        numbers = [name for name, value in arguments_of(self).items() if not isinstance(value, str)]
        require_range(self, *numbers, least=-_LARGEST, most=_LARGEST)

    def fill(self, weight: Tensor) -> None:
        getattr(nn.init, f"{self.name}_")(weight, **arguments_of(self))


@dataclass(frozen=True)
class _Kaiming(_FromTorch):
    """Base: scaled by the inputs or outputs of a layer, and by what follows it.

    a: negative slope of the leaky ReLU behind the layer; only for leaky_relu.
    mode: fan_in keeps the variance of the values on their way forward, fan_out that of the gradients on their way back.
    nonlinearity: what follows the layer, which determines the gain: sqrt(2) for relu, sqrt(2 / (1 + a**2)) for
        leaky_relu, 5/3 for tanh, 3/4 for selu, else 1.
    """

    least_dimensions: ClassVar[int] = 2

    a: float = 0.0
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] = "leaky_relu"


@INITIALIZERS.register
@dataclass(frozen=True)
class KaimingNormal(_Kaiming):
    """Normally distributed with the standard deviation gain / sqrt(fan).

    Source: He et al. 2015, "Delving Deep into Rectifiers", arXiv:1502.01852.
    """


@INITIALIZERS.register
@dataclass(frozen=True)
class KaimingUniform(_Kaiming):
    """Uniformly distributed within +-gain * sqrt(3 / fan).

    Source: He et al. 2015, "Delving Deep into Rectifiers", arXiv:1502.01852.
    """


@dataclass(frozen=True)
class _Scaled(_FromTorch):
    """Base: scaled by a factor.

    gain: factor of the weights.
    """

    least_dimensions: ClassVar[int] = 2

    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "gain", above=0)


@INITIALIZERS.register
@dataclass(frozen=True)
class XavierNormal(_Scaled):
    """Normally distributed with the standard deviation gain * sqrt(2 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """


@INITIALIZERS.register
@dataclass(frozen=True)
class XavierUniform(_Scaled):
    """Uniformly distributed within +-gain * sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """


@INITIALIZERS.register
@dataclass(frozen=True)
class Orthogonal(_Scaled):
    """A random matrix, outputs x inputs, whose rows or columns, whichever are fewer, are orthogonal and of length gain.

    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
    arXiv:1312.6120.
    """


@INITIALIZERS.register
@dataclass(frozen=True)
class Normal(_FromTorch):
    """Normally distributed.

    mean: mean of the weights.
    std: standard deviation of the weights.
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "std", least=0)


@INITIALIZERS.register
@dataclass(frozen=True)
class TruncNormal(_FromTorch):
    """Normally distributed within [a, b]: what lies outside is drawn again.

    mean: mean before the truncation.
    std: standard deviation before the truncation.
    a: least weight, not in standard deviations: with std 0.02 the default cuts nothing off.
    b: greatest weight, likewise.
    """

    mean: float = 0.0
    std: float = 1.0
    a: float = -2.0
    b: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "std", above=0)
        _require_interval(self)
        # torch warns of these: its numbers would be distributed otherwise.
        if not self.a - 2 * self.std <= self.mean <= self.b + 2 * self.std:
            message = f"mean={self.mean:g} is more than two standard deviations away from a={self.a:g} to b={self.b:g}"
            raise ArgumentError(message, argument="mean")


@INITIALIZERS.register
@dataclass(frozen=True)
class Uniform(_FromTorch):
    """Uniformly distributed within [a, b].

    a: least weight.
    b: greatest weight.
    """

    a: float = 0.0
    b: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_interval(self)


@INITIALIZERS.register
@dataclass(frozen=True)
class Zeros(_FromTorch):
    """All weights 0; for the last norm of a residual block, which then starts as the identity."""


@INITIALIZERS.register
@dataclass(frozen=True)
class Ones(_FromTorch):
    """All weights 1."""


@INITIALIZERS.register
@dataclass(frozen=True)
class Constant(_FromTorch):
    """All weights the same.

    val: the value of each weight.
    """

    val: float


def _require_interval(owner: TruncNormal | Uniform) -> None:
    if owner.a >= owner.b:
        raise ArgumentError(f"a must be less than b, got a={owner.a:g} and b={owner.b:g}", argument="a")
