"""Networks that are timed side by side."""

from __future__ import annotations

import pytest
import torch

import spdbuild
from spdbuild.analysis import benchmark as module
from spdbuild.analysis.benchmark import Benchmark, Conditions, benchmark
from spdbuild.errors import InputError, RunError
from spdbuild.system.timing import Times

TEXT = "model: m\ninputs: {image: [3, 8, 8]}\nlayers:\n  - conv: conv2d(4)\n  - norm: batch_norm()\n"


@pytest.fixture
def graph() -> spdbuild.Architecture:
    return spdbuild.load(TEXT).graph


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_networks_run_in_turns_under_the_conditions(graph, monkeypatch, precision, channels_last) -> None:
    results = []

    def turns(calls, seconds):
        results.extend(call() for call in calls)
        return [Times((1.0,))] * len(calls)

    monkeypatch.setattr(module, "take_turns", turns)
    benchmark([graph, graph], Conditions(batch=3, precision=precision, channels_last=channels_last))
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    for result in results:
        assert (result.shape, result.dtype) == ((3, 4, 8, 8), kinds[precision])
        assert result.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert len(results) == 2


def test_every_network_is_called_as_often(graph) -> None:
    found = benchmark([graph, graph], Conditions(seconds=0.0))
    assert [len(times.seconds) for times in found.times] == [5, 5]
    assert min(found.times[0].seconds) > 0


def test_the_ratio_is_the_median_over_turns(graph) -> None:
    found = Benchmark(Conditions(batch=4), (graph, graph), (Times((1.0, 2.0, 4.0)), Times((2.0, 2.0, 6.0))))
    assert found.ratio == 1.5
    assert [found.images_per_second(number) for number in (0, 1)] == [2.0, 2.0]
    assert Benchmark(Conditions(), (graph,), (Times((1.0,)),)).ratio is None


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
    ids=["gpu", "cpu", "python"],
)
def test_a_batch_that_memory_does_not_hold_is_halved(graph, monkeypatch, error: Exception) -> None:
    tried = []

    def call(graph, conditions):
        tried.append(conditions.batch)
        if conditions.batch > 2:
            raise error
        return lambda: None

    monkeypatch.setattr(module, "_call", call)
    assert benchmark([graph], Conditions(batch=9, seconds=0.0)).conditions.batch == 2
    assert tried == [9, 4, 2]
    monkeypatch.setattr(module, "_call", lambda graph, conditions: call(graph, Conditions(batch=3)))
    with pytest.raises(RunError, match="the memory does not hold one image"):
        benchmark([graph], Conditions(batch=9))


def test_another_error_is_no_lack_of_memory(graph, monkeypatch) -> None:
    def call(graph, conditions):
        raise RuntimeError("not implemented for 'Half'")

    monkeypatch.setattr(module, "_call", call)
    with pytest.raises(RuntimeError, match="not implemented"):
        benchmark([graph], Conditions(batch=9))


def test_the_threads_hold_while_it_runs(graph, monkeypatch) -> None:
    before, seen = torch.get_num_threads(), []

    def turns(calls, seconds):
        seen.append(torch.get_num_threads())
        return [Times((1.0,))]

    monkeypatch.setattr(module, "take_turns", turns)
    assert benchmark([graph], Conditions(threads=before + 1)).conditions.threads == before + 1
    assert benchmark([graph]).conditions.threads == before
    assert seen == [before + 1, before]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["batch", "threads"])
def test_conditions_below_one_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} must be at least 1, got 0"):
        Conditions(**{name: 0})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_a_batch_beyond_its_memory_is_halved(graph) -> None:
    free, _ = torch.cuda.mem_get_info()
    bytes_an_image = 4 * (3 + 4) * 8 * 8
    found = benchmark([graph], Conditions(batch=2 * free // bytes_an_image, device="cuda", seconds=0.0))
    assert 1 < found.conditions.batch < 2 * free // bytes_an_image
