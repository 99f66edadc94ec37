"""A model on a data set, judged over processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from spdbuild.errors import RunError
from spdbuild.metrics.by_image.answers import TOP
from spdbuild.metrics.classification import judge
from spdbuild.training.evaluation_loop import evaluate_model
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.task import Evaluation

CPU = torch.device("cpu")


class Batches:
    """One batch of one image, whose label is 1."""

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None: ...

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield torch.ones(1, 1), torch.ones(1)


class Meter:
    """Counts images; only some can judge."""

    def __init__(self, judges: bool) -> None:
        self.judges, self.images = judges, 0

    def update(self, outputs: torch.Tensor, targets: torch.Tensor) -> None:
        self.images += len(outputs)

    def state(self) -> dict[str, Any]:
        return {"images": self.images}

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        self.images = sum(state["images"] for state in states)

    def evaluation(self) -> Evaluation:
        assert self.judges
        return Evaluation({"images": self.images}, files={"list": lambda: "text"})


class Pair(Processes):
    """One of two processes; what the other would send is at hand."""

    def __init__(self, rank: int, heard: Any) -> None:
        super().__init__(rank, world=2)
        object.__setattr__(self, "heard", heard)
        object.__setattr__(self, "said", [])

    def share_buffers(self, model: nn.Module) -> None: ...

    def to_first(self, value: Any) -> list[Any]:
        self.said.append(value)
        return [value, self.heard] if self.first else []

    def from_first(self, value: Any) -> Any:
        self.said.append(value)
        return value if self.first else self.heard


def test_the_first_process_judges_for_all_and_keeps_what_only_it_writes() -> None:
    first = Pair(0, {"images": 4})
    evaluation = evaluate_model(nn.Identity(), Batches(), Meter(judges=True), "fp32", CPU, first)
    assert evaluation.scalars == {"images": 5}
    assert list(evaluation.files) == ["list"]
    told = first.said[-1]
    assert told == Evaluation({"images": 5})
    second = Pair(1, told)
    assert evaluate_model(nn.Identity(), Batches(), Meter(judges=False), "fp32", CPU, second) == told
    assert second.said[0] == {"images": 1}


def test_metrics_that_are_not_finite_are_refused_on_every_process() -> None:
    class Lost(Meter):
        def evaluation(self) -> Evaluation:
            return Evaluation({"loss": math.nan})

    first = Pair(0, {"images": 4})
    with pytest.raises(RunError, match="the loss of the evaluation is not finite"):
        evaluate_model(nn.Identity(), Batches(), Lost(judges=True), "fp32", CPU, first)
    with pytest.raises(RunError, match="the loss of the evaluation is not finite"):
        evaluate_model(nn.Identity(), Batches(), Meter(judges=False), "fp32", CPU, Pair(1, first.said[-1]))


def test_logits_that_are_not_finite_are_no_answer() -> None:
    logits = torch.tensor([[math.nan, 0.0, 1.0], [0.0, math.inf, 0.0], [0.0, 1.0, 2.0], [3.0, -math.inf, 2.0]])
    assert judge(logits, torch.tensor([0, 1, 2, 0]))[:, 1].tolist() == [TOP, TOP, 0, 0]
