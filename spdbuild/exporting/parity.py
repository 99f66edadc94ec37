"""Whether an exported file computes what the network does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.errors import RunError
from spdbuild.exporting.formats import Runner


@dataclass(frozen=True)
class Parity:
    """How far the outputs of a file are from those of the network, over all inputs; NaN where either has one.

    absolute: max |a - b|. relative: max |a - b| / max |a|, of the output where that is the largest; boxes and
        probabilities of a detector count as two, because pixels are hundreds of times greater. runs: number of inputs.
    """

    absolute: float
    relative: float
    runs: int

    def within(self, tolerance: float) -> bool:
        """Whether the relative difference is at most `tolerance`; NaN never is."""
        return self.relative <= tolerance


def compare(
    network: Runner, file: Runner, inputs: Iterable[Sequence[Tensor]], parts: Callable[[Tensor], Sequence[Tensor]]
) -> Parity:
    """Run both on the same inputs. parts: an output -> tensors whose numbers are of one kind.

    Raises RunError where the outputs differ in number or shape.
    """
    extents: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
    runs = 0
    for given in inputs:
        runs += 1
        expected, got = network(given), file(given)
        _check_shapes(expected, got)
        for number, (ours, theirs) in enumerate(zip(expected, got, strict=True)):
            for part, (a, b) in enumerate(zip(parts(ours), parts(theirs), strict=True)):
                found = (a - b).abs().max(), a.abs().max()
                known = extents.get((number, part), found)
                extents[number, part] = torch.maximum(known[0], found[0]), torch.maximum(known[1], found[1])
    differences = torch.stack([difference for difference, _ in extents.values()])
    sizes = torch.stack([size for _, size in extents.values()])
    # Of an output that is zero throughout, the difference itself counts.
    relative = differences / torch.where(sizes == 0, 1.0, sizes)
    return Parity(float(differences.max()), float(relative.max()), runs)


def _check_shapes(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    shapes, found = ([list(tensor.shape) for tensor in outputs] for outputs in (ours, theirs))
    if shapes != found:
        message = f"the outputs of the network have the shapes {shapes}, and those of the file {found}"
        raise RunError(message, hint="an op is not the same in this format: try another, or one size and one batch")
