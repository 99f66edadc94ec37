"""Checks of a recipe that need no data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spdbuild.errors import Problem, RecipeError, SpdbuildError
from spdbuild.graph import Graph
from spdbuild.modules import compile_graph
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.freezing import freeze
from spdbuild.training.network.initialization import initializers_of
from spdbuild.training.network.network import check_trainable, idle_passes, resolve
from spdbuild.training.network.scaling import check_scales
from spdbuild.training.recipe import Network, Recipe, load_recipe, twins
from spdbuild.training.recipe.differences import differences
from spdbuild.training.recipe.overrides import Overrides
from spdbuild.training.recipe.sections import fields_of


def check_recipe(
    recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Overrides = (), *, allow_imports: bool = False
) -> tuple[Recipe, dict[str, Graph]]:
    """The recipe, and the graphs of its network, its twins and their teachers by name, after their passes.

    The shapes are those that the architectures declare. All problems are raised together, with their places.

    recipe: a path, the name of a built-in recipe, YAML text, a mapping of keys, or a loaded recipe, which `overrides`
        do not change.
    allow_imports: whether Python files that the architectures name under `imports:` may run.
    """
    wanted = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    wanted.task.require(wanted)
    graphs: dict[str, Graph] = {}
    problems: list[Problem] = []
    for name, network in _networks(wanted).items():
        try:
            graphs[name] = resolve(network, allow_imports=allow_imports).graph
            if isinstance(network, Recipe):  # A teacher is not trained.
                check_trainable(network)
                with network.about("architecture"):
                    network.task.check_graph(graphs[name])
                _check_weights(network)
                _check_patterns(network, graphs[name])
        except SpdbuildError as error:
            problems += error.problems
    if problems:
        raise RecipeError.gather(problems)
    return wanted, graphs


def _check_weights(recipe: Recipe) -> None:
    """Refuse the folder of a run where a file of weights is wanted."""
    folder = RunFolder(Path(recipe.weights.file)) if recipe.weights else None
    if folder is not None and folder.best.is_file():
        message = f"'{folder.path}' is the folder of a run, not a file of weights"
        place = recipe.place("weights.file", "weights")
        raise RecipeError(message, location=place, hint=f"name one of its files: {folder.best}")


def _check_patterns(recipe: Recipe, graph: Graph) -> None:
    """Refuse patterns of `init`, `freeze` and `optimizer.scales` that match nothing in the network of a run."""
    if recipe.init or recipe.freeze or recipe.optimizer.scales:
        model = compile_graph(graph, device="meta")
        initializers_of(model, recipe)
        with recipe.about("freeze"):
            freeze(model, recipe.freeze)
        check_scales(model, recipe)


def doubts(recipe: Recipe) -> list[Problem]:
    """Warnings of passes that change nothing, and of twins that would be trained as the run itself or another twin.

    recipe: one that `check_recipe` accepts.
    """
    networks = _networks(recipe)
    found = [problem for network in networks.values() for problem in idle_passes(network)]
    graphs = {name: resolve(run).graph for name, run in networks.items() if isinstance(run, Recipe)}
    for index, (name, graph) in enumerate(graphs.items()):
        for other in list(graphs)[:index]:
            if graph == graphs[other] and _alike(networks[other], networks[name]):
                message = f"the run '{name}' trains the network of '{other}' in the same way"
                hint = "change a key in it that has an effect, or leave it out"
                place = recipe.place(f"compare.{name}", "compare")
                found.append(Problem(message, place, hint, kind="warning"))
                break
    return list(dict.fromkeys(found))


#: Keys in which two runs of one graph may differ and yet be the same.
_WITHOUT_EFFECT = {"title", "expect", "compare", *(field.name for field in fields_of(Network))}


def _alike(one: Network, other: Network) -> bool:
    """Whether two runs with the same graph are trained in the same way."""
    assert isinstance(one, Recipe)
    assert isinstance(other, Recipe)
    return all(found.key.partition(".")[0] in _WITHOUT_EFFECT for found in differences(one, other))


def _networks(recipe: Recipe) -> dict[str, Network]:
    found: dict[str, Network] = {}
    for name, one in {recipe.title or "run": recipe, **twins(recipe, recipe.places)}.items():
        found[name] = one
        if one.distill is not None:
            found[f"teacher of {name}"] = one.distill
    return found
