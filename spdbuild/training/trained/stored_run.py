"""Loading what a run left behind as a model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from spdbuild import builtin
from spdbuild.declaring.roles import Role
from spdbuild.errors import ArgumentError, RecipeError, WeightsError, nearest
from spdbuild.loading import Architecture, is_text, load, with_inputs
from spdbuild.training.device import device_of
from spdbuild.training.folder.run_folder import RunFolder, no_run_or
from spdbuild.training.network.first_weights import load_weights
from spdbuild.training.network.network import allow, build_network, resolve
from spdbuild.training.precision import choose_precision
from spdbuild.training.recipe import Recipe, load_recipe
from spdbuild.training.recipe.differences import differences, keys_with
from spdbuild.training.recipe.overrides import Overrides, listed
from spdbuild.training.trained.plugins import origin_told
from spdbuild.weights import StoredWeights
from spdbuild.weights.facts import Facts
from spdbuild.weights.stored import STATE_DICT, Weights, weights_from
from spdbuild.wording.quantities import shapes_text

_LOG = logging.getLogger("spdbuild.training")
#: What files of weights are called.
_WEIGHTS = frozenset((".safetensors", ".pt", ".pth"))


@dataclass(frozen=True)
class StoredModel:
    """A trained model, in eval mode on its device, with the recipe that made it.

    folder: of the run, if it is from one. weights: the file that they are from; None for a state_dict.
    taken_from: the key of a checkpoint under which they were ("ema"), or empty.
    classes: names of its classes, from the file of weights, or else from those of the run or from the data at hand.
    input: shape [C, H, W] of the model's input; image: shape of an image before `preprocess`.
    parameters, macs: its costs for one such input.
    """

    recipe: Recipe
    folder: RunFolder | None
    weights: Path | None
    model: nn.Module
    classes: tuple[str, ...]
    input: tuple[int, ...]
    image: tuple[int, ...]
    parameters: int
    macs: int
    device: torch.device
    precision: str
    taken_from: str = ""

    def __repr__(self) -> str:
        costs = f"{self.parameters:,} parameters, {len(self.classes)} classes"
        where = f"{self.device} {self.precision}"
        return f"StoredModel({self.weights_source}: {shapes_text([self.input])}, {costs}, {where})"

    @property
    def weights_source(self) -> str:
        """The file of the weights, or `a state_dict`, in words for what is reported."""
        return STATE_DICT if self.weights is None else str(self.weights)


def load_model(
    run_or_recipe: str | Path,
    weights: Weights | None = None,
    overrides: Overrides = (),
    classes: tuple[str, ...] = (),
    size: tuple[int, int] | None = None,
    *,
    allow_imports: bool = False,
) -> StoredModel:
    """The model of a run's folder (its best weights unless others are given), or of a recipe with `weights`.

    weights: a file or a state_dict, with the network's names or those of a rename table of its architecture.
    classes, size: of the data at hand, where neither the file of the weights nor those of the run say them.
    allow_imports: whether Python files that its architecture names may run.
    """
    recipe, folder = _recipe(run_or_recipe, overrides, allow_imports)
    source = weights_from(weights)
    if source is None:
        source = _weights(recipe, folder)
    facts = _facts(source).or_else(_own_facts(folder))
    # Class names in other people's files say little: they are used only if nothing else is known.
    classes = facts.classes or classes or facts.names
    if len(facts.input) == 3 and recipe.input is None and size is None:
        recipe = replace(recipe, input=facts.input)
    network = build_network(recipe, len(classes) or None, size)
    taken_from = load_weights(network, source).taken_from
    image = (network.input[0], *(facts.size or network.input[1:]))
    device = device_of(recipe)
    model = network.module.to(device).eval()
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    precision = choose_precision(recipe.precision, device)
    return StoredModel(
        recipe,
        folder,
        None if isinstance(source, Mapping) else source.path,
        model,
        classes,
        network.input,
        image,
        network.parameters,
        network.macs,
        device,
        precision,
        taken_from,
    )


def as_model(
    model: StoredModel | str | Path,
    weights: Weights | None,
    overrides: Overrides,
    *,
    allow_imports: bool,
) -> StoredModel:
    """A loaded model as it is, or else the model of a run or recipe.

    Raises ArgumentError for weights or overrides with a loaded model.
    """
    if not isinstance(model, StoredModel):
        return load_model(model, weights, overrides, allow_imports=allow_imports)
    require_unchanged(weights, overrides)
    return model


def require_unchanged(weights: Weights | None, overrides: Overrides) -> None:
    """Refuse arguments that a loaded model does not take; raises ArgumentError."""
    for argument, given in {"weights": weights is not None, "overrides": listed(overrides)}.items():
        if given:
            message = f"a model that is loaded already takes no {argument}"
            raise ArgumentError(message, argument=argument, hint="give them to load_model")


def run_architecture(
    run: str | Path,
    weights: StoredWeights | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
    *,
    allow_imports: bool = False,
) -> tuple[Architecture, StoredWeights, Recipe, Facts]:
    """The network of a run's folder, `weights` or else the run's best, its recipe, and the facts in its own weights.

    No module is built.

    inputs: shapes (C, H, W) in place of its own.
    """
    recipe, folder = _recipe(run, (), allow_imports)
    source = weights or _weights(recipe, folder)
    own = _own_facts(folder)
    facts = Facts.of(source).or_else(own)
    if len(facts.input) == 3 and recipe.input is None:
        recipe = replace(recipe, input=facts.input)
    return with_inputs(resolve(recipe, len(facts.classes) or None), inputs), source, recipe, own


def check_classes(source: str, known: tuple[str, ...], classes: tuple[str, ...]) -> None:
    """Refuse data whose `classes` are not the `known` ones of weights; raises WeightsError. source: of the weights."""
    unknown = [name for name in classes if name not in known]
    if unknown:
        message = f"{source}: the data has the class '{unknown[0]}', which the weights do not have"
        raise WeightsError(message, hint=nearest(unknown[0], known))
    if len(known) != len(classes):
        raise WeightsError(f"{source}: the weights are for {len(known)} classes and the data has {len(classes)}")
    for number, (ours, theirs) in enumerate(zip(known, classes, strict=True)):
        if ours != theirs:
            message = f"{source}: class {number} of the weights is '{ours}', and that of the data is '{theirs}'"
            raise WeightsError(message, hint="evaluate on data with the classes of the training, in their order")


def stored_network(recipe: Recipe, folder: RunFolder, *, allow_imports: bool = False) -> Recipe:
    """The recipe with the network that the folder holds, to which the passes are already applied."""
    if not folder.architecture.is_file():
        hint = f"start a new run with its recipe: spdbuild train {folder.recipe}"
        raise RecipeError(f"{folder.path} has no architecture.yaml", hint=hint)
    document = load(folder.architecture, recipe.variant, allow_imports=allow_imports).document
    variant = recipe.variant if document.variants else None
    known = {*document.vars, *document.variants.get(variant or "", {})}
    kept = {name: value for name, value in recipe.vars.items() if name in known}
    return replace(recipe, architecture=str(folder.architecture), variant=variant, vars=kept, passes=(), weights=None)


def recipe_of(run_or_recipe: str | Path, overrides: Overrides = (), *, allow_imports: bool = False) -> Recipe:
    """The recipe of a run's folder, or the recipe itself."""
    return _recipe(run_or_recipe, overrides, allow_imports)[0]


def _recipe(run_or_recipe: str | Path, overrides: Overrides, allow_imports: bool) -> tuple[Recipe, RunFolder | None]:
    if not isinstance(run_or_recipe, str | Path):
        raise ArgumentError(
            f"a trained model is the folder of a run or a recipe, got an object of {type(run_or_recipe).__name__}",
            argument="model",
            hint="spdbuild.load_model(recipe, weights) makes one of a file of weights or a state_dict",
        )
    path = Path(run_or_recipe)
    if not _names_a_run(path):
        _require_recipe(run_or_recipe)
        recipe = load_recipe(run_or_recipe, overrides)
        allow(recipe, allow_imports)
        return recipe, None
    folder, overrides = RunFolder.open(path), listed(overrides)
    with origin_told(folder):
        recipe = load_recipe(folder.recipe, overrides)
        if overrides:
            _check_changes(load_recipe(folder.recipe), recipe)
        return stored_network(recipe, folder, allow_imports=allow_imports), folder


def _require_recipe(name: str | Path) -> None:
    """Refuse a name that is neither of a run nor of a recipe."""
    if isinstance(name, str) and is_text(name):
        return
    if Path(name).suffix in _WEIGHTS and Path(name).is_file():
        hint = f"name the run or the recipe of their network, and {name} with --weights (from Python: weights=...)"
        raise RecipeError(f"{name} is a file of weights, and says no network", hint=hint)
    try:
        builtin.find(str(name), "recipes")
    except builtin.NoSuchFileError as error:
        raise no_run_or("recipe", name, error.problems[0].hint) from None


def _names_a_run(path: Path) -> bool:
    """Whether the folder of a run is meant, even a missing one: the name of a built-in recipe has no folders."""
    beside = len(path.parts) > 1 and path.parent.is_dir() and not path.suffix
    return path.is_dir() or (beside and not path.is_file())


def _check_changes(trained: Recipe, wanted: Recipe) -> None:
    """Refuse overrides that ask for another network, or that have no effect."""
    for found in differences(trained, wanted):
        if Role.USED not in found.role:
            message = f"'{found.key}' cannot change once a model is trained"
            other = "for other weights give --weights, for another network name a recipe, too"
            hint = f"a trained model takes {', '.join(keys_with(Role.USED, trained))}; {other}"
            raise RecipeError(message, location=found.place, hint=hint)


def _facts(weights: StoredWeights | Mapping[str, Tensor]) -> Facts:
    return Facts() if isinstance(weights, Mapping) else Facts.of(weights)


def _own_facts(folder: RunFolder | None) -> Facts:
    """The facts in a run's own weights; none where it has no weights that can be read."""
    for weights in _own_weights(folder) if folder else ():
        with suppress(WeightsError):
            return Facts.of(weights)
    return Facts()


def _own_weights(folder: RunFolder) -> list[StoredWeights]:
    """The weights that a run has, the best ones first."""
    return [StoredWeights(path) for path in (folder.best, folder.last) if path.is_file()]


def own_weights(folder: RunFolder) -> StoredWeights:
    """The best weights of a run, or else its last; WeightsError if it has none."""
    for weights in _own_weights(folder):
        if weights.path != folder.best:
            _LOG.warning("%s is missing; the last weights of the run are used", folder.best)
        return weights
    raise WeightsError(f"{folder.path} has no weights", hint="the run has not reached the end of its first epoch")


def _weights(recipe: Recipe, folder: RunFolder | None) -> StoredWeights:
    if folder:
        return own_weights(folder)
    if recipe.weights is not None and recipe.weights.path.is_file():
        return recipe.weights
    run = Path("runs", recipe.title or "run")
    named = f": {run}" if RunFolder(run).recipe.is_file() else ""
    hint = f"give them with --weights (from Python: weights=...), or name a run's folder{named}"
    raise WeightsError("a recipe alone has no trained weights", hint=hint)
