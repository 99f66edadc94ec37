"""A network given by name: an architecture with or without weights, or the folder of a run with its best weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.cli.options import Choice

if TYPE_CHECKING:
    from torch import Tensor

    from spdbuild.graph import Graph
    from spdbuild.text.source import Value


@dataclass(frozen=True)
class NamedNetwork:
    """A graph, and the file of its weights if there is one.

    renames: rename tables of the architecture, for a file of third-party names.
    """

    graph: Graph
    renames: Mapping[str, Mapping[str, Value]]
    weights: Path | None

    def read_weights(self) -> dict[str, Tensor] | None:
        """The weights, which fit the graph; WeightsError if they do not."""
        if self.weights is None:
            return None
        from spdbuild.conversion.weights import weights_of

        return weights_of(self.graph, self.weights, self.renames)


def named_network(name: str, choice: Choice, weights: Path | None) -> NamedNetwork:
    """The network of an architecture that `choice` picks, or of a run's folder; `weights` override the run's."""
    if not Path(name).is_dir():
        architecture = choice.load(name)
        return NamedNetwork(architecture.graph, architecture.renames, weights)
    stored = choice.stored(name, weights)
    return NamedNetwork(stored.graph, stored.architecture.renames, stored.weights)
