"""The difference of a file from its network, over inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spdbuild.exporting.parity import compare


def test_the_greatest_difference_may_be_that_of_any_input() -> None:
    def network(inputs: Sequence[Tensor]) -> list[Tensor]:
        return [inputs[0] * 2]

    def file(inputs: Sequence[Tensor]) -> list[Tensor]:
        return [inputs[0] * 2 + (inputs[0] == 1)]

    inputs = [(torch.tensor([value]),) for value in (4.0, 1.0, 2.0)]
    found = compare(network, file, inputs, lambda output: [output])
    assert (found.absolute, found.relative, found.runs) == (1.0, 1 / 8, 3)
