"""Latency of SPD networks before and after folding: `python benchmarks/folding.py`.

Prints for each network, batch and memory format the median times of both and their ratio, unfolded / folded: above 1
the fold pays. Norms are fused in both, so that only space-to-depth is compared. The two networks run in turns, because
a shared machine changes its speed with time; weights are random, so every tap counts, as after training.

    python benchmarks/folding.py --compiled --networks yolov5s resnet50 --size 640 --runs 50
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

import spdbuild
from spdbuild.conversion.folding import Folding, fold
from spdbuild.conversion.verification import random_weights
from spdbuild.graph import Graph
from spdbuild.passes import run_passes
from spdbuild.passes.fuse_conv_norm import FuseConvNorm
from spdbuild.shape import Shape

Network = Callable[[int], Graph]


def released_yolov5(variant: str) -> Network:
    """The detector as its authors released it, at a size of image."""

    def graph(size: int) -> Graph:
        arch = spdbuild.load("yolov5", variant=variant, inputs=[(3, size, size)])
        return spdbuild.convert(arch, "released-yolov5")[1].after

    return graph


def released_resnet50(size: int) -> Graph:
    """ResNet50-SPD of CIFAR-10, always at 32 pixels."""
    return spdbuild.load("resnet50_spd_cifar10").graph.with_inputs([Shape(3, 32, 32)])


NETWORKS: dict[str, Network] = {
    "yolov5n": released_yolov5("n"),
    "yolov5s": released_yolov5("s"),
    "resnet50": released_resnet50,
}


def main() -> None:
    options = parsed()
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads, {options.runs} runs each")
    print("network   batch  format         mode      unfolded      folded   ratio   MACs")
    for name in options.networks:
        graph = NETWORKS[name](options.size)
        for into_producers in (False, True) if name == "resnet50" else (False,):
            label = f"{name}*" if into_producers else name
            for line in measured(label, graph, into_producers, options, device):
                print(line, flush=True)
    print("* space_to_depth in front of a norm is folded, too, which costs MACs: fold_spd(into_producers=true)")


def measured(
    name: str, graph: Graph, into_producers: bool, options: argparse.Namespace, device: torch.device
) -> Iterator[str]:
    """A line for each batch, memory format and mode."""
    unfolded, folding = pair(graph, into_producers)
    modes = ("eager", "compiled") if options.compiled else ("eager",)
    for batch, layout, mode in itertools.product(options.batches, ("contiguous", "channels_last"), modes):
        models = [model.to(device, memory_format=FORMATS[layout]) for model in (unfolded, built(folding))]
        images = torch.randn(batch, *graph.inputs[0].shape, device=device).to(memory_format=FORMATS[layout])
        runs = [torch.compile(model) if mode == "compiled" else model for model in models]
        slow, fast = (1e3 * median for median in medians(runs, images, options.runs))
        macs = folding.graph.macs / graph.macs
        times = f"{slow:8.2f} ms {fast:8.2f} ms  {slow / fast:6.2f}"
        yield f"{name:9} {batch:5}  {layout:13}  {mode:8} {times}  x{macs:.2f}"


FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def pair(graph: Graph, into_producers: bool) -> tuple[nn.Module, Folding]:
    """The network with its norms fused, and the folded one."""
    weights = {name: tensor.float() for name, tensor in random_weights(graph).items()}
    step = FuseConvNorm()
    fused, changes = run_passes(graph, [step])
    model = spdbuild.build(fused).eval()
    model.load_state_dict(step.transfer(graph, fused, changes, weights))
    return model, fold(graph, weights, into_producers=into_producers)


def built(folding: Folding) -> nn.Module:
    model = spdbuild.build(folding.graph).eval()
    model.load_state_dict(dict(folding.weights or {}))
    return model


def medians(models: list[nn.Module], images: Tensor, runs: int) -> list[float]:
    """Seconds of one forward pass, median over the runs, each model in its turn."""
    times: list[list[float]] = [[] for _ in models]
    with torch.inference_mode():
        for model in models:
            timed(model, images)
        for _ in range(runs):
            for model, taken in zip(models, times, strict=True):
                taken.append(timed(model, images))
    return [statistics.median(taken) for taken in times]


def timed(model: nn.Module, images: Tensor) -> float:
    synchronize(images.device)
    start = time.perf_counter()
    model(images)
    synchronize(images.device)
    return time.perf_counter() - start


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--size", type=int, default=160, help="side of the detectors' images, in pixels")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--compiled", action="store_true", help="with torch.compile, too")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
