"""Parameters that are not trained."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.text.patterns import matches, pick

_Norm = nn.modules.batchnorm._BatchNorm


def freeze(model: nn.Module, patterns: Collection[str]) -> list[str]:
    """Freeze the parameters whose names match, and return the names and those of matching norms without parameters.

    A pattern that matches nothing is an error. What keeps the statistics of norms is `train_mode` with these patterns.
    """
    parameters = dict(model.named_parameters())
    norms = [name for name, module in model.named_modules() if isinstance(module, _Norm) and not _own(module)]
    frozen = pick([*parameters, *norms], patterns, "freeze", "parameter")
    if parameters.keys() <= set(frozen):
        raise RecipeError("freeze leaves nothing to train", hint="leave a pattern out")
    for name in parameters.keys() & set(frozen):
        parameters[name].requires_grad_(False)
    return frozen


def train_mode(model: nn.Module, patterns: Collection[str] = ()) -> None:
    """Set training mode, except for batch norms that are frozen: their statistics stay fixed as well.

    patterns: those of `freeze`, for norms without parameters.
    """
    model.train()
    for name, module in model.named_modules():
        if isinstance(module, _Norm):
            own = _own(module)
            module.train(any(parameter.requires_grad for parameter in own) if own else not matches(name, patterns))


def _own(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))
