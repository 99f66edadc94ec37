"""Activation functions. None works in place, so that every tensor of a network can be inspected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.arguments import arguments_of
from spdbuild.ops.op import OPS, Example, Family, Op
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Activation(Op):
    """An op that is applied elementwise."""

    family: ClassVar[Family] = "activation"
    #: The class in torch.nn, which gets the op's arguments in their order.
    torch_name: ClassVar[str]

    def shape(self, x: Shape) -> Shape:
        return x

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        module: nn.Module = getattr(nn, self.torch_name)(*arguments_of(self).values())
        return module

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(4, 3, 5)], Shape(4, 3, 5))


@OPS.register
@dataclass(frozen=True)
class Identity(Activation):
    """Pass its input through: x.

    Input and output have any shape. It gives a place in a network a name, and is left out when the network is expanded.

    Source: as torch.nn.Identity.
    """

    torch_name: ClassVar[str] = "Identity"

    def simplified(self, x: Shape) -> Op | None:
        return None


@OPS.register
@dataclass(frozen=True)
class Relu(Activation):
    """Replace negative numbers with zero: max(x, 0).

    Input and output have any shape.

    Source: Nair and Hinton 2010, "Rectified Linear Units Improve Restricted Boltzmann Machines".
    """

    torch_name: ClassVar[str] = "ReLU"


@OPS.register
@dataclass(frozen=True)
class Relu6(Activation):
    """Clip numbers to 0 .. 6: min(max(x, 0), 6).

    Input and output have any shape.

    Source: Sandler et al. 2018, "MobileNetV2", arXiv:1801.04381, section 4, for its robustness at low precision.
    """

    torch_name: ClassVar[str] = "ReLU6"


@OPS.register
@dataclass(frozen=True)
class LeakyRelu(Activation):
    """Scale negative numbers down: x for x >= 0, else slope*x.

    Input and output have any shape.

    slope: factor for negative numbers.

    Source: Maas, Hannun and Ng 2013, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """

    torch_name: ClassVar[str] = "LeakyReLU"

    slope: float = 0.01


@OPS.register
@dataclass(frozen=True)
class Prelu(Activation):
    """Scale negative numbers by a learned slope: x for x >= 0, else slope*x.

    Input and output have any shape.

    per_channel: whether each channel has a slope of its own.
    slope: initial value of all slopes.

    Source: He et al. 2015, "Delving Deep into Rectifiers", arXiv:1502.01852, section 2.1; as torch.nn.PReLU.
    """

    weights: ClassVar[bool] = True

    per_channel: bool = False
    slope: float = 0.25

    def parameters(self, x: Shape) -> int:
        return x.channels if self.per_channel else 1

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.PReLU(self.parameters(x), self.slope)


@OPS.register
@dataclass(frozen=True)
class Elu(Activation):
    """Bend negative numbers towards a bound: x for x >= 0, else alpha*(exp(x) - 1).

    Input and output have any shape.

    alpha: the bound is -alpha.

    Source: Clevert, Unterthiner and Hochreiter 2015, "Exponential Linear Units", arXiv:1511.07289.
    """

    torch_name: ClassVar[str] = "ELU"

    alpha: float = 1.0


@OPS.register
@dataclass(frozen=True)
class Softmax(Activation):
    """Turn the channels into shares that add up to 1: exp(x) divided by the sum of exp(x) over all channels.

    Input and output (N, C, H, W) or (N, C); each pixel has its own shares. A classifier that will be trained here ends
    without it, because the loss includes it.

    Source: Bridle 1990, "Training Stochastic Model Recognition Algorithms as Networks"; as torch.nn.Softmax(dim=1).
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.Softmax(1)


@OPS.register
@dataclass(frozen=True)
class Silu(Activation):
    """Multiply each number by its sigmoid: x * sigmoid(x), also called swish.

    Input and output have any shape.

    Source: Elfwing, Uchibe and Doya 2017, arXiv:1702.03118; Ramachandran, Zoph and Le 2017, arXiv:1710.05941.
    """

    torch_name: ClassVar[str] = "SiLU"


@OPS.register
@dataclass(frozen=True)
class Gelu(Activation):
    """Multiply each number by the standard normal distribution function: x * Phi(x), without approximation.

    Input and output have any shape.

    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", arXiv:1606.08415.
    """

    torch_name: ClassVar[str] = "GELU"


@OPS.register
@dataclass(frozen=True)
class Mish(Activation):
    """Multiply each number by the tanh of its softplus: x * tanh(ln(1 + exp(x))).

    Input and output have any shape.

    Source: Misra 2019, "Mish: A Self Regularized Non-Monotonic Activation Function", arXiv:1908.08681.
    """

    torch_name: ClassVar[str] = "Mish"


@OPS.register
@dataclass(frozen=True)
class Sigmoid(Activation):
    """Squeeze numbers into 0 .. 1: 1 / (1 + exp(-x)).

    Input and output have any shape.

    Source: the logistic function; as torch.nn.Sigmoid.
    """

    torch_name: ClassVar[str] = "Sigmoid"


@OPS.register
@dataclass(frozen=True)
class HardSigmoid(Activation):
    """Squeeze numbers into 0 .. 1 by straight lines: min(max(x + 3, 0), 6) / 6.

    Input and output have any shape.

    Source: Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, section 5.2.
    """

    torch_name: ClassVar[str] = "Hardsigmoid"


@OPS.register
@dataclass(frozen=True)
class HardSwish(Activation):
    """Multiply each number by its hard sigmoid: x * min(max(x + 3, 0), 6) / 6.

    Input and output have any shape.

    Source: Howard et al. 2019, "Searching for MobileNetV3", arXiv:1905.02244, section 5.2.
    """

    torch_name: ClassVar[str] = "Hardswish"


@OPS.register
@dataclass(frozen=True)
class Tanh(Activation):
    """Squeeze numbers into -1 .. 1 by the hyperbolic tangent.

    Input and output have any shape.

    Source: the hyperbolic tangent; as torch.nn.Tanh.
    """

    torch_name: ClassVar[str] = "Tanh"
