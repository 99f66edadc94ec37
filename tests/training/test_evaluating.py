"""Metrics over processes, precision and speed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from spdbuild.training.distributed import Processes
from spdbuild.training.evaluating import evaluate_model
from spdbuild.training.precision import autocast, choose_precision, make_scaler
from spdbuild.training.speed import measure_speed
from spdbuild.training.task import Evaluation

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("flag", "expected"), [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({}, "fp32")]
)
def test_auto_is_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, flag: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flag)
    assert choose_precision("auto", CPU) == expected


def test_what_is_asked_for_wins() -> None:
    assert choose_precision("fp32", CPU) == "fp32"


def test_bf16_reaches_the_convolutions() -> None:
    layer = nn.Conv2d(1, 1, 1)
    with autocast("bf16", CPU):
        assert layer(torch.ones(1, 1, 2, 2)).dtype == torch.bfloat16
    with autocast("fp32", CPU):
        assert layer(torch.ones(1, 1, 2, 2)).dtype == torch.float32


def test_only_fp16_scales_losses() -> None:
    assert not make_scaler("bf16", CPU).is_enabled()
    assert make_scaler("fp16", CPU).is_enabled()


def test_speed_times_both_kinds_of_call() -> None:
    seen: list[int] = []

    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return self.conv(images)

    speed = measure_speed(Counted(), (3, 4, 4), 8, "fp32", CPU, channels_last=True, calls=3)
    # Five calls of warm-up before each kind.
    assert seen == [1] * 8 + [8] * 8
    assert speed.images_per_second > 0
    assert list(speed.latency_ms) == ["p50", "p90", "p99"]


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_are_timed_in_the_layout_that_is_asked_for(channels_last: bool) -> None:
    class Layout(nn.Module):
        """A convolution of 1x1, whose weights have both layouts at once."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)
            self.seen: set[bool] = set()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen.add(images.is_contiguous(memory_format=torch.channels_last))
            return self.conv(images)

    model = Layout()
    measure_speed(model, (3, 4, 4), 2, "fp32", CPU, channels_last=channels_last, calls=1)
    assert model.seen == {channels_last}


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
