"""Networks that are given by name, with their weights, before there is a module; torch is imported only for a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from spdbuild.graph import Graph
from spdbuild.loading import Architecture, graph_of, input_shapes, load
from spdbuild.modules import compile_graph
from spdbuild.text.source import Value
from spdbuild.weights import StoredWeights, describe_module, match_file, match_state
from spdbuild.weights.facts import Facts

if TYPE_CHECKING:
    from torch import Tensor

    from spdbuild.training.recipe import Recipe


@dataclass(frozen=True)
class StoredGraph:
    """A network, and the file of its weights if there is one.

    renames: rename tables of its architecture, for a file of third-party names.
    recipe: that of the run that made the weights, if it is known.
    of_run: the facts in the run's own weights, where others are given in their place.
    state: a state_dict in place of a file.
    """

    graph: Graph
    weights: StoredWeights | None = None
    renames: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    recipe: Recipe | None = None
    of_run: Facts = field(default_factory=Facts)
    state: Mapping[str, Tensor] | None = None

    @classmethod
    def of(cls, network: Architecture | Graph, weights: StoredWeights | None = None) -> StoredGraph:
        """The network of an architecture; a graph has no rename tables."""
        renames = network.renames if isinstance(network, Architecture) else {}
        return cls(graph_of(network), weights, renames)

    def facts(self) -> Facts:
        """What the file of the weights says, and for what it does not, those of the run."""
        return (Facts() if self.weights is None else Facts.of(self.weights)).or_else(self.of_run)

    @property
    def has_weights(self) -> bool:
        return self.weights is not None or self.state is not None

    def read_weights(self) -> dict[str, Tensor] | None:
        """The weights, which must be exactly those of the graph; WeightsError lists what does not fit."""
        return self.find_weights()[0]

    def find_weights(self) -> tuple[dict[str, Tensor] | None, StoredWeights | None]:
        """`read_weights`, and where they were: the file with the key and the prefix, None if there is no file."""
        if not self.has_weights:
            return None, None
        target = describe_module(compile_graph(self.graph, "meta"))
        if self.state is not None:
            return match_state(self.state, target, self.renames, self.graph)[0], None
        assert self.weights is not None
        weights, matching = match_file(self.weights, target, self.renames, graph=self.graph)
        return weights, self.weights.found(matching)


def stored_graph(
    network: Architecture | Graph | str | Path,
    weights: StoredWeights | Mapping[str, Tensor] | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
    *,
    allow_imports: bool = False,
) -> StoredGraph:
    """The network of a run's folder, or of an architecture, its name, path or text; `weights` override the run's best.

    inputs: shapes (C, H, W) in place of its own. allow_imports: whether Python files that it names may run.
    """
    state, file = (weights, None) if isinstance(weights, Mapping) else (None, weights)
    if is_run(network):
        from spdbuild.training.trained.stored_run import run_architecture

        architecture, own, recipe, facts = run_architecture(network, file, inputs, allow_imports=allow_imports)
        source = own if state is None else None
        return StoredGraph(architecture.graph, source, architecture.renames, recipe, facts, state)
    known = load(network, allow_imports=allow_imports) if isinstance(network, str | Path) else network
    graph = graph_of(known)
    if inputs is not None:
        graph = graph.with_inputs(input_shapes(graph.name, len(graph.inputs), inputs))
    return replace(StoredGraph.of(known, file), graph=graph, state=state)


def is_run(network: Any) -> TypeGuard[str | Path]:
    """Whether a folder is meant, which can only be that of a run."""
    # Path.is_dir raises for a long YAML text.
    return isinstance(network, str | Path) and "\n" not in str(network) and Path(network).is_dir()
