"""A network that a person names: an architecture with or without weights, or the folder of a run with its best."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.cli.options import Choice
from spdbuild.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from spdbuild.graph import Graph


@dataclass(frozen=True)
class NamedNetwork:
    """A graph, and the file of its weights if there is one."""

    graph: Graph
    weights: Path | None

    def read_weights(self) -> dict[str, Tensor] | None:
        """The weights, which fit the graph; WeightsError if they do not."""
        if self.weights is None:
            return None
        from spdbuild.conversion.weights import weights_of

        return weights_of(self.graph, self.weights)


def named_network(name: str, choice: Choice, weights: Path | None) -> NamedNetwork:
    """The network of an architecture that `choice` picks, or of a run's folder; `weights` win over the run's."""
    if not Path(name).is_dir():
        return NamedNetwork(choice.load(name).graph, weights)
    from spdbuild.training.network import resolve
    from spdbuild.training.run_folder import RunFolder
    from spdbuild.training.stored_run import recipe_of
    from spdbuild.weights import open_weights

    recipe, folder = recipe_of(name), RunFolder(Path(name))
    path = weights or next((path for path in (folder.best, folder.last) if path.is_file()), None)
    if path is None:
        raise WeightsError(f"{name} has no weights", hint="the run has not reached the end of its first epoch")
    facts = open_weights(path).metadata
    classes, shape = json.loads(facts.get("classes", "[]")), json.loads(facts.get("input", "[]"))
    if shape and recipe.input is None:
        recipe = replace(recipe, input=(shape[0], shape[1], shape[2]))
    return NamedNetwork(resolve(recipe, len(classes) or None).graph, path)
