"""The inference time of networks, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from spdbuild.errors import InputError, RunError
from spdbuild.graph import Graph
from spdbuild.modules import compile_graph
from spdbuild.system.freed_memory import freed_memory_kept
from spdbuild.system.out_of_memory import is_out_of_memory
from spdbuild.system.timing import Times, take_turns, wait_for

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Conditions:
    """How networks are timed.

    batch: images per call. precision: of weights and images. channels_last: memory format of both.
    device: its name in torch. threads: of the CPU; None: torch's setting. seconds: for how long calls are timed.
    """

    batch: int = 1
    precision: Precision = "fp32"
    channels_last: bool = False
    device: str = "cpu"
    threads: int | None = None
    seconds: float = 3.0

    def __post_init__(self) -> None:
        for name in ("batch", "threads"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InputError(f"{name} must be at least 1, got {number}")


@dataclass(frozen=True)
class Benchmark:
    """The times of networks that ran in turns; `conditions` has the batch that fitted into memory."""

    conditions: Conditions
    graphs: tuple[Graph, ...]
    times: tuple[Times, ...]

    def images_per_second(self, number: int) -> float:
        return self.conditions.batch / self.times[number].median

    @property
    def ratio(self) -> float | None:
        """Time of the second network divided by that of the first, the median over turns; None with one network."""
        if len(self.times) != 2:
            return None
        first, second = (times.seconds for times in self.times)
        return median(two / one for one, two in zip(first, second, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild bench --json` prints; times are in milliseconds."""
        networks = [
            {
                "name": graph.name,
                "inputs": [list(node.shape) for node in graph.inputs],
                "median_ms": 1000 * times.median,
                "p90_ms": 1000 * times.p90,
                "min_ms": 1000 * times.least,
                "images_per_second": self.images_per_second(number),
            }
            for number, (graph, times) in enumerate(zip(self.graphs, self.times, strict=True))
        ]
        kept = ("device", "threads", "precision", "channels_last", "batch")
        conditions = {name: getattr(self.conditions, name) for name in kept}
        return {**conditions, "calls": len(self.times[0].seconds), "networks": networks, "ratio": self.ratio}


def benchmark(graphs: Sequence[Graph], conditions: Conditions | None = None) -> Benchmark:
    """The times of forward passes of the networks, with random weights and images, in turns.

    If the batch does not fit into memory, half of it is tried, for all networks alike; RunError if not even one image
    fits.
    """
    conditions = conditions or Conditions()
    with _threads(conditions.threads) as threads, freed_memory_kept():
        conditions = replace(conditions, threads=threads)
        while True:
            try:
                times = take_turns([_call(graph, conditions) for graph in graphs], seconds=conditions.seconds)
                return Benchmark(conditions, tuple(graphs), tuple(times))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if conditions.batch == 1:
                    raise RunError("the memory does not hold one image", hint="try --size or another device") from None
            # After the except clause, because the error holds the tensors that filled the memory.
            _free_memory(conditions.device)
            conditions = replace(conditions, batch=conditions.batch // 2)


def _call(graph: Graph, conditions: Conditions) -> Callable[[], object]:
    """A forward pass that returns when its result is ready."""
    import torch

    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    layout = torch.channels_last if conditions.channels_last else torch.contiguous_format
    device, dtype = torch.device(conditions.device), types[conditions.precision]
    module: nn.Module = compile_graph(graph).eval().to(device, dtype)
    module = module.to(memory_format=layout)
    shapes = [(conditions.batch, *node.shape) for node in graph.inputs]
    inputs = [torch.randn(shape, device=device, dtype=dtype).contiguous(memory_format=layout) for shape in shapes]

    def call() -> object:
        with torch.inference_mode():
            result = module(*inputs)
        wait_for(device)
        return result

    return call


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    """Set the number of CPU threads, and restore it at the end."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield wanted or before
    finally:
        torch.set_num_threads(before)


def _free_memory(device: str) -> None:
    import gc

    import torch

    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
