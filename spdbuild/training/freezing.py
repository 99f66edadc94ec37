"""Parameters that are not trained."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.text.patterns import pick


def freeze(model: nn.Module, patterns: Collection[str]) -> list[str]:
    """Freeze the parameters whose names match and return the names. A pattern that matches nothing is an error."""
    names = dict(model.named_parameters())
    frozen = pick(names, patterns, "freeze", "parameter")
    for name in frozen:
        names[name].requires_grad_(False)
    if len(frozen) == len(names):
        raise RecipeError("freeze leaves nothing to train", hint="leave a pattern out")
    return frozen


def train_mode(model: nn.Module) -> None:
    """Set training mode, except for batch norms whose parameters are frozen: their statistics stay fixed as well."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters(recurse=False))
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if norm and parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
