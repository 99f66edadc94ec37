"""Whether an exported file computes what the network does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from spdbuild.analysis.agreement import OutputError, greatest
from spdbuild.errors import RunError
from spdbuild.exporting.formats import Runner


@dataclass(frozen=True)
class Parity:
    """How far the outputs of a file are from those of the network, over all inputs; NaN where either has one.

    absolute, relative: the greatest errors of an output (see `spdbuild.analysis.agreement`); boxes and probabilities
        of a detector count as two outputs, because pixels are hundreds of times greater. runs: number of inputs.
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
    errors: defaultdict[tuple[int, int], OutputError] = defaultdict(OutputError)
    runs = 0
    for given in inputs:
        runs += 1
        expected, got = network(given), file(given)
        _check_shapes(expected, got)
        for number, (ours, theirs) in enumerate(zip(expected, got, strict=True)):
            for part, (a, b) in enumerate(zip(parts(ours), parts(theirs), strict=True)):
                errors[number, part].add(a, b)
    absolute = greatest(error.absolute for error in errors.values())
    return Parity(absolute, greatest(error.relative for error in errors.values()), runs)


def _check_shapes(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    shapes, found = ([list(tensor.shape) for tensor in outputs] for outputs in (ours, theirs))
    if shapes != found:
        message = f"the outputs of the network have the shapes {shapes}, and those of the file {found}"
        raise RunError(message, hint="an op is not the same in this format: try another, or one size and one batch")
