"""Modules of other threads neither disturb a conversion or an import, nor do two of these disturb each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild


class Pooling(nn.Module):
    """Its `forward` has to be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv(x), 2)


@pytest.fixture
def running() -> Iterator[None]:
    """Another thread that runs modules of its own all the time."""
    stop, module, x = threading.Event(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.randn(1, 3, 8, 8)

    def run() -> None:
        while not stop.is_set():
            module(x)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("running")
def test_layers_are_converted_while_another_thread_runs_a_module() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3, 2, 1), nn.BatchNorm2d(3)) for _ in range(4)))
    for _ in range(5):
        _, report = spdbuild.convert_module(model, torch.randn(1, 3, 32, 32))
        assert [entry.name for entry in report.replaced] == ["0.0", "1.0", "2.0", "3.0"]


def test_conversions_and_imports_of_several_threads_wait_for_each_other() -> None:
    x = torch.randn(1, 3, 32, 32)

    def work(number: int) -> int:
        if number % 2:
            return len(spdbuild.import_module(Pooling(), x).architecture.graph.layers)
        return len(spdbuild.convert_module(Pooling(), x)[1].replaced)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(16))) == [2] * 16
