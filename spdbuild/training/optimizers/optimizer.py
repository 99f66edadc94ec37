"""The base of all optimizers, and the grouping of parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.registry import Registry
from spdbuild.nn.normalization import LayerScale2d


@dataclass(frozen=True)
class Optimizer:
    """Base of all optimizers: frozen dataclasses whose fields are the keys of the section `optimizer`.

    lr: learning rate, which the schedule multiplies by its factor.
    weight_decay: strength with which weights are pulled towards zero.
    decay_norm_and_bias: whether weight decay also applies to biases and to factors of channels: the weights of
        normalization layers, of layer_scale and of prelu.
    """

    name: ClassVar[str] = ""

    lr: float = 0.01
    weight_decay: float = 0.0
    decay_norm_and_bias: bool = False

    def __post_init__(self) -> None:
        require_range(self, "lr", above=0)
        require_range(self, "weight_decay", least=0)

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """The torch optimizer of the trainable parameters of `model`."""
        raise NotImplementedError

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """The parameter groups `weight`, `norm` and `bias`, with their decay."""
        spared = self.weight_decay if self.decay_norm_and_bias else 0.0
        decay = {"weight": self.weight_decay, "norm": spared, "bias": spared}
        return [
            {"params": parameters, "role": role, "weight_decay": decay[role]}
            for role, parameters in parameter_groups(model).items()
            if parameters
        ]


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "spdbuild.training.optimizers", "spdbuild.optimizers")

#: Modules whose weights are one factor per channel, which decay would pull away from what they are for.
CHANNEL_FACTORS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, LayerScale2d, nn.PReLU)


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by role: `weight`, `norm` (factors of channels) and `bias` (every bias)."""
    groups: dict[str, list[nn.Parameter]] = {"weight": [], "norm": [], "bias": []}
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            role = "bias" if name == "bias" else "norm" if isinstance(module, CHANNEL_FACTORS) else "weight"
            groups[role].append(parameter)
    return groups
