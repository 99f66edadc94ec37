"""Parameters that are not trained."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from spdbuild.errors import RecipeError, nearest


def freeze(model: nn.Module, patterns: Iterable[str]) -> list[str]:
    """Stop the training of parameters whose names match; the names. A pattern that matches nothing is an error.

    "stem.*" matches all below `stem`, and so does "stem".
    """
    names = dict(model.named_parameters())
    frozen: list[str] = []
    for pattern in patterns:
        matching = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not matching:
            known = {part for name in names for part in (name, name.split(".")[0])}
            raise RecipeError(f"freeze: no parameter matches '{pattern}'", hint=nearest(pattern, known))
        frozen += matching
    for name in frozen:
        names[name].requires_grad_(False)
    if len(set(frozen)) == len(names):
        raise RecipeError("freeze leaves nothing to train", hint="leave a pattern out")
    return sorted(set(frozen))


def train_mode(model: nn.Module) -> None:
    """Training mode, but for batch norms whose parameters are frozen: their statistics stay as well."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters(recurse=False))
        norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
        if norm and parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
