"""The base of all optimizers, and the grouping of parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.registry import Registry
from spdbuild.errors import ArgumentError
from spdbuild.nn.normalization import LayerScale2d
from spdbuild.text.patterns import pick


@dataclass(frozen=True)
class Optimizer:
    """Base of all optimizers: frozen dataclasses whose fields are the keys of the section `optimizer`.

    lr: learning rate, which the schedule multiplies by its factor.
    weight_decay: strength with which weights are pulled towards zero.
    decay_norm_and_bias: whether weight decay also applies to biases and to factors of channels: the weights of
        normalization layers, of layer_scale and of prelu.
    scales: factors of the learning rate, warm-up included, by patterns of the names of parameters, as in `freeze`, such
        as {head: 10, stage1: 0.1}; the last pattern that matches a parameter counts, and without one it is 1.
    """

    name: ClassVar[str] = ""

    lr: float = 0.01
    weight_decay: float = 0.0
    decay_norm_and_bias: bool = False
    scales: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_range(self, "lr", above=0)
        require_range(self, "weight_decay", least=0)
        for pattern, scale in self.scales.items():
            if not 0 < scale < math.inf:
                message = f"the scale of '{pattern}' must be more than 0 and finite, got {scale}"
                hint = "what is not to be trained is named under freeze" if scale == 0 else ""
                raise ArgumentError(message, argument="scales", hint=hint)

    def make(self, model: nn.Module) -> torch.optim.Optimizer:
        """The torch optimizer of the trainable parameters of `model`."""
        raise NotImplementedError

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """The parameter groups of the roles `weight`, `norm` and `bias`, with their decay, one for each of `scales`.

        Raises RecipeError for a pattern of `scales` that matches no parameter.
        """
        spared = self.weight_decay if self.decay_norm_and_bias else 0.0
        decay = {"weight": self.weight_decay, "norm": spared, "bias": spared}
        scales = scales_of(model, self.scales)
        groups: list[dict[str, Any]] = []
        for role, parameters in parameter_groups(model).items():
            # Those without a factor come first, because a row of metrics has the learning rate of the first group.
            for scale in sorted({scales[p] for p in parameters}, key=lambda scale: (scale != 1, scale)):
                members = [parameter for parameter in parameters if scales[parameter] == scale]
                own = {} if scale == 1 else {"scale": scale}
                groups.append({"params": members, "role": role, "weight_decay": decay[role], **own})
        return groups


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


def scales_of(model: nn.Module, scales: Mapping[str, float]) -> dict[nn.Parameter, float]:
    """The factor of each parameter's learning rate; RecipeError for a pattern that matches no parameter."""
    parameters = dict(model.named_parameters())
    found = dict.fromkeys(parameters.values(), 1.0)
    for pattern, scale in scales.items():
        names = pick(parameters, (pattern,), "optimizer.scales", "parameter")
        found |= dict.fromkeys((parameters[name] for name in names), scale)
    return found
