"""What keeping freed memory saves on the CPU: processes with and without `freed_memory_kept`, in turns.

    python benchmarks/freed_memory.py [--rounds R] [--threads T] [--network N]

A ratio is the time without it divided by the time with it, the median over the turns: once of the wall clock, and once
of the process's CPU time, which other programs of the machine disturb less. Every measurement has a process of its own,
because glibc adapts to what a process has freed before.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn
from torch.optim import SGD

import spdbuild
from spdbuild.system.freed_memory import freed_memory_kept

#: Architecture, variant, size of the images, images in a batch.
CASES = [
    ("cifar_resnet20", None, 32, 128),
    ("resnet50_spd_cifar10", None, 32, 64),
    ("resnet50", None, 224, 8),
    ("yolov5", "n", 640, 4),
    ("yolov5_spd", "n", 320, 8),
]
#: Calls that count, and calls before them.
CALLS, WARM_UP = 5, 2


def total(outputs: object) -> torch.Tensor:
    """A number that depends on all of a network's outputs."""
    if isinstance(outputs, torch.Tensor):
        return outputs.square().mean()
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    assert isinstance(outputs, list | tuple)
    return torch.stack([total(one) for one in outputs]).sum()


def forward(model: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    """A forward pass as evaluation does it."""
    model.eval()

    def call() -> object:
        with torch.inference_mode():
            return model(images)

    return call


def step(model: nn.Module, images: torch.Tensor) -> Callable[[], object]:
    """A training step with the simplest of losses."""
    model.train()
    optimizer = SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)

    def call() -> None:
        optimizer.zero_grad()
        total(model(images)).backward()
        optimizer.step()

    return call


WORKS = {"forward": forward, "step": step}


def measure(case: int, work: str, threads: int, *, kept: bool) -> None:
    """Print the wall clock and the CPU time of the calls, in seconds, and the most memory held, in bytes."""
    torch.set_num_threads(threads)
    name, variant, size, batch = CASES[case]
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    model = spdbuild.build(spdbuild.load(name, variant=variant)).to(memory_format=torch.channels_last)
    call = WORKS[work](model, images)
    with freed_memory_kept() if kept else nullcontext():
        for _ in range(WARM_UP):
            call()
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(CALLS):
            call()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(json.dumps([wall, processor, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))


def ratios(case: int, work: str, rounds: int, threads: int) -> list[float]:
    """What keeping saves of the wall clock, of CPU time, and of memory, as factors."""
    turns = []
    for _ in range(rounds):
        without, kept = (
            json.loads(
                subprocess.check_output(
                    [sys.executable, __file__, "--measure", str(case), work, *flags, "--threads", str(threads)]
                )
            )
            for flags in ([], ["--kept"])
        )
        turns.append([one / other for one, other in zip(without, kept, strict=True)])
    return [statistics.median(column) for column in zip(*turns, strict=True)]


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--network", choices=[case[0] for case in CASES], help="only this one")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(int(options.measure[0]), options.measure[1], options.threads, kept=options.kept)
        return
    columns = [f"{work} {what}" for work in WORKS for what in ("wall", "CPU", "memory")]
    print(f"{'network':22} {'size':>4} {'batch':>5} " + " ".join(f"{column:>14}" for column in columns))
    for case, (name, _, size, batch) in enumerate(CASES):
        if options.network not in (None, name):
            continue
        found = [ratio for work in WORKS for ratio in ratios(case, work, options.rounds, options.threads)]
        print(f"{name:22} {size:4} {batch:5} " + " ".join(f"{ratio:14.2f}" for ratio in found), flush=True)


if __name__ == "__main__":
    main()
