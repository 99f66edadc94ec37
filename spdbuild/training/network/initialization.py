"""The weights that layers start with, where a recipe chooses them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.modules import layer_seed
from spdbuild.nn.detection import Detect
from spdbuild.nn.spd import SpdPool2d
from spdbuild.text.patterns import matches, unmatched
from spdbuild.training.initializers import INITIALIZERS, Initializer
from spdbuild.training.initializers.from_torch import LayerDefault
from spdbuild.training.optimizers.optimizer import CHANNEL_FACTORS
from spdbuild.training.recipe import Recipe

#: Layers that start as something that is not random: as factors of 1, say, or as the average of a pool.
_SETTLED = (*CHANNEL_FACTORS, SpdPool2d)


@torch.no_grad()
def initialize(model: nn.Module, recipe: Recipe) -> None:
    """Fill the weights of layers as `init` says, each with random numbers that follow from the seed and its name.

    The bias of a filled layer becomes zero, except in a detection head, where it says how many objects to expect.
    Raises RecipeError for a pattern that matches no layer, or none that its initializer can fill.
    """
    predicting = {level for module in model.modules() if isinstance(module, Detect) for level in module.levels}
    for name, initializer in initializers_of(model, recipe).items():
        layer = model.get_submodule(name)
        torch.default_generator.manual_seed(layer_seed(recipe.seed, name))
        initializer.fill(layer.get_parameter("weight"))
        bias = getattr(layer, "bias", None)
        if bias is not None and layer not in predicting:
            bias.zero_()


def initializers_of(model: nn.Module, recipe: Recipe) -> dict[str, Initializer]:
    """What fills each layer that `init` names, in the order of the network; raises as `initialize` does."""
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.modules.conv._ConvNd, nn.Linear, *_SETTLED)) and module.weight is not None
    }
    chosen: dict[str, Initializer] = {}
    for pattern, initializer in recipe.init.items():
        try:
            chosen |= dict.fromkeys(_filled(pattern, initializer, layers), initializer)
        except RecipeError as error:
            written = recipe.entry("init")
            raise error.at(written.data[pattern].key if written else None) from None
    filled = {name for name, initializer in chosen.items() if not isinstance(initializer, LayerDefault)}
    return {name: chosen[name] for name in layers if name in filled}


def _filled(pattern: str, initializer: Initializer, layers: Mapping[str, nn.Module]) -> list[str]:
    """The names of the layers that a pattern is for; RecipeError without a place if there are none."""
    for _, hint in unmatched((pattern,), layers):
        raise RecipeError(f"init: no layer with weights matches '{pattern}'", hint=hint)
    matched = [name for name in layers if matches(name, (pattern,))]
    random = [name for name in matched if not isinstance(layers[name], _SETTLED)]
    least = initializer.least_dimensions
    filled = [name for name in random or matched if _dimensions(layers[name]) >= least]
    if not filled:
        message = f"init: {initializer.name} is for convolutions and linear layers, and '{pattern}' matches none"
        others = [name for name, cls in INITIALIZERS.items() if cls.least_dimensions == 1]
        raise RecipeError(message, hint=f"these are for norms, too: {', '.join(others)}")
    return filled


def _dimensions(layer: nn.Module) -> int:
    """Those of its weight; one where it is a factor for each channel, whatever its shape."""
    return 1 if isinstance(layer, CHANNEL_FACTORS) else layer.get_parameter("weight").dim()
