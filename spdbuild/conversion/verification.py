"""Whether two networks compute the same: their outputs, and layer by layer where names match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from spdbuild.analysis.agreement import OutputError, greatest
from spdbuild.analysis.watching import check_module, watched
from spdbuild.conversion.limits import ROUNDED
from spdbuild.errors import InputError, PassError
from spdbuild.graph import Graph
from spdbuild.modules import compile_graph
from spdbuild.weight_transfer import carry_over

#: Of random inputs: how many batches, and how many samples in each.
_BATCHES, _BATCH = 2, 2


@dataclass(frozen=True)
class Difference:
    """How far apart two tensors are: a layer's output, or an output of the network, over all inputs.

    name: of the layer; of an output its number, counted from 0.
    error: relative to the first network's (see `spdbuild.analysis.agreement`).
    """

    name: str
    error: float

    def within(self, tolerance: float) -> bool:
        return self.error <= tolerance


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    outputs: the differences of the outputs. layers: those of the layers that both networks have, in the order in which
    the first one runs them. skipped: layers that both have, with outputs of different shapes.
    """

    outputs: tuple[Difference, ...]
    layers: tuple[Difference, ...]
    skipped: tuple[str, ...]
    tolerance: float

    def __str__(self) -> str:
        return (
            f"{'equal' if self.equal else 'different'}: {len(self.outputs)} outputs, largest relative error "
            f"{self.largest:.1e}, tolerance {self.tolerance:g}; {len(self.layers)} layers compared by name"
        )

    def __repr__(self) -> str:
        return f"Verification({self})"

    @property
    def equal(self) -> bool:
        """Whether all outputs agree; a layer in between may differ, as a convolution with a norm fused into it does."""
        return all(output.within(self.tolerance) for output in self.outputs)

    @property
    def largest(self) -> float:
        """The largest error of an output; NaN if any is NaN."""
        return greatest(output.error for output in self.outputs)

    @property
    def parting(self) -> Difference | None:
        """The first layer whose outputs differ."""
        return next((layer for layer in self.layers if not layer.within(self.tolerance)), None)

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild verify --json` prints."""
        return {
            "equal": self.equal,
            "tolerance": self.tolerance,
            "error": self.largest,
            "outputs": [{"output": output.name, "error": output.error} for output in self.outputs],
            "parting": self.parting.name if self.parting and not self.equal else None,
            "layers": [{"name": layer.name, "error": layer.error} for layer in self.layers],
            "skipped": list(self.skipped),
        }


def verify(
    model_a: nn.Module, model_b: nn.Module, inputs: Iterable[Tensor | Sequence[Tensor]], tolerance: float = ROUNDED
) -> Verification:
    """`spdbuild.verify` of two modules."""
    check_module(model_a, "model_a")
    check_module(model_b, "model_b")
    if isinstance(inputs, Tensor):
        inputs = [inputs]
    comparison = _Comparison()
    with torch.no_grad(), ExitStack() as hooks:
        for model, observe in ((model_a.eval(), comparison.remember), (model_b.eval(), comparison.compare)):
            parts = {name: part for name, part in model.named_modules() if name}
            hooks.enter_context(watched(parts, observe))
        for given in inputs:
            comparison.remembered.clear()
            outputs_a, outputs_b = (_listed(_run(model, _listed(given))) for model in (model_a, model_b))
            comparison.compare_outputs(outputs_a, outputs_b)
    if not comparison.outputs:
        raise InputError("there are no inputs to compare with")
    return comparison.verification(tolerance)


def random_inputs(graph: Graph) -> Iterator[tuple[Tensor, ...]]:
    """Batches of normal noise in the shapes of the graph's inputs, in float64; the same at every call."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(_BATCHES):
        yield tuple(torch.randn(_BATCH, *node.shape, generator=generator, dtype=torch.float64) for node in graph.inputs)


def in_float64(
    known: Graph, weights: Mapping[str, Tensor] | None, other: Graph, others: Mapping[str, Tensor] | None
) -> tuple[nn.Module, nn.Module]:
    """The modules of two networks with their weights: by default random ones, and those of the first carried over.

    Raises InputError where the weights of `known` cannot be carried over.
    """
    first = random_weights(known) if weights is None else weights
    second = weights_for(known, first, other) if others is None else others
    models = compile_graph(known).double(), compile_graph(other).double()
    for model, state in zip(models, (first, second), strict=True):
        model.load_state_dict(state)
    return models


def random_weights(graph: Graph) -> dict[str, Tensor]:
    """Random weights, the same at every call, as general as those of a trained network: norms have random statistics.

    All are float64.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = compile_graph(graph).double()
        for module in model.modules():
            if isinstance(module, _NormBase | nn.LayerNorm | nn.GroupNorm):
                for name, tensor in module.state_dict().items():
                    _draw(name, tensor)
        return model.state_dict()


def weights_for(known: Graph, weights: Mapping[str, Tensor], other: Graph) -> dict[str, Tensor]:
    """Weights with which `other`, a conversion of `known`, computes the same; InputError says why there are none."""
    try:
        return carry_over(known, other, weights)
    except PassError as error:
        hint = "give the weights of both: --weights-a and --weights-b (from Python: weights_a and weights_b)"
        raise InputError(
            f"{other.name} is no conversion of {known.name}: {error.problems[0].message}", hint=hint
        ) from None


def _draw(name: str, tensor: Tensor) -> None:
    if name in ("weight", "running_var"):
        tensor.uniform_(0.5, 1.5)
    elif name in ("bias", "running_mean"):
        tensor.normal_(0, 0.5)


class _Comparison:
    """Errors of layers and outputs, accumulated over the runs."""

    def __init__(self) -> None:
        #: Outputs of the first model in this run, by flat name.
        self.remembered: dict[str, tuple[str, list[Tensor]]] = {}
        self.order: dict[str, None] = {}
        self.layers: dict[str, OutputError] = {}
        self.outputs: list[OutputError] = []
        self.skipped: dict[str, None] = {}

    def remember(self, name: str, inputs: Any, output: Any) -> None:
        self.order.setdefault(name)
        self.remembered[_flat(name)] = name, _listed(output)

    def compare(self, name: str, inputs: Any, output: Any) -> None:
        ours, theirs = self.remembered.get(_flat(name)), _listed(output)
        if ours is None:
            return
        if [tensor.shape for tensor in ours[1]] != [tensor.shape for tensor in theirs]:
            self.skipped.setdefault(ours[0])
            return
        error = self.layers.setdefault(ours[0], OutputError())
        for a, b in zip(ours[1], theirs, strict=True):
            error.add(a, b)

    def compare_outputs(self, ours: list[Tensor], theirs: list[Tensor]) -> None:
        shapes = [[tuple(tensor.shape) for tensor in outputs] for outputs in (ours, theirs)]
        if shapes[0] != shapes[1]:
            raise InputError(f"the outputs have the shapes {shapes[0]} and {shapes[1]}")
        self.outputs = self.outputs or [OutputError() for _ in ours]
        for error, a, b in zip(self.outputs, ours, theirs, strict=True):
            error.add(a, b)

    def verification(self, tolerance: float) -> Verification:
        outputs = (Difference(str(number), error.relative) for number, error in enumerate(self.outputs))
        layers = (Difference(name, self.layers[name].relative) for name in self.order if name in self.layers)
        return Verification(tuple(outputs), tuple(layers), tuple(self.skipped), tolerance)


def _run(model: nn.Module, inputs: Sequence[Tensor]) -> Any:
    weight = next(model.parameters(), torch.empty(0, dtype=torch.float64))
    return model(*(tensor.to(weight.device, weight.dtype) for tensor in inputs))


def _listed(output: Any) -> list[Tensor]:
    return [output] if isinstance(output, Tensor) else list(output)


def _flat(name: str) -> str:
    return name.replace(".", "_")
