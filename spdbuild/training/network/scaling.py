"""Parameters with learning rates of their own."""

from __future__ import annotations

import torch
from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.text.patterns import cover
from spdbuild.training.optimizers.optimizer import scales_of
from spdbuild.training.recipe import Recipe
from spdbuild.wording.phrases import number, some

#: How many names a line of the log has for each factor.
_SHOWN = 8


def check_scales(model: nn.Module, recipe: Recipe) -> None:
    """Refuse patterns of `optimizer.scales` that match no parameter; RecipeError with the place of the pattern."""
    for pattern, scale in recipe.optimizer.scales.items():
        try:
            scales_of(model, {pattern: scale})
        except RecipeError as error:
            written = recipe.entry("optimizer.scales")
            raise error.at(written.data[pattern].key if written else None) from None


def scales_line(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
    """A log line that says which parameters have a factor of the learning rate; empty if none has."""
    scales = {p: group.get("scale", 1.0) for group in optimizer.param_groups for p in group["params"]}
    names = {name: scales[p] for name, p in model.named_parameters() if p in scales}
    told = [
        f"times {scale:g}: {some(cover([name for name in names if names[name] == scale], names), _SHOWN)}"
        for scale in sorted({*names.values()} - {1.0}, reverse=True)
    ]
    others = [*names.values()].count(1.0)
    rest = [f"times 1: the other {number(others, 'parameter')}"] if others else []
    return f"learning rate {'; '.join(told + rest)}" if told else ""
