"""Training of detectors, as ratios to ultralytics' own YOLOv5n and to a plain PyTorch loop, in one run.

    python benchmarks/detection_training.py DATASET.yaml [--size S] [--batch B] [--rounds R] [--steps N] [--threads T]

DATASET.yaml is in YOLO's layout, as `spdbuild data convert --to yolo` writes it. Two things are measured:

- The loader, in this process alone: images a second of mosaic, scaling and shift, hue, saturation, value, and flip.
- The step, from a batch of whole numbers to the new weights and their moving average, without the loader.

All take turns, loader epoch by epoch and step by step. A ratio is the median over the turns, once of the wall clock and
once of this process's CPU time, which other programs of the machine disturb less. ultralytics' YOLOv5n has another head
and loss: parameters and MACs are printed beside the ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from black_box import BlackBox
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import spdbuild
from spdbuild.console import Console
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.convert import convert
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.options import Backend, DetectionAugmentation
from spdbuild.data.detection.store import Cache
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.yolo import Yolo
from spdbuild.losses.detection import DetectionLossOptions
from spdbuild.training.detection.criterion import DetectionCriterion
from spdbuild.training.detection.head import head_of
from spdbuild.training.detection.images import to_network
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.session import make_session
from spdbuild.training.running.updates import Updates

Step = Callable[[DetectionBatch], None]

#: What spdbuild augments with: OpenCV, which ultralytics brings, and PyTorch alone.
BACKENDS: tuple[Backend, ...] = ("opencv", "torch")

#: Turns at the start that do not count: memory is taken, kernels are chosen.
WARM_UP = 2

RECIPE = """\
architecture: {architecture}
variant: n
input: [3, {size}, {size}]
data: {{name: yolo, file: {data}}}
batch: {batch}
optimizer: {{name: sgd, lr: 0.001, momentum: 0.937, nesterov: true, weight_decay: 0.0005}}
ema: {{}}
workers: 0
"""


class Laps:
    """Seconds of each turn of each contender: by the wall clock, and of this process's CPU time."""

    def __init__(self) -> None:
        self._laps: dict[str, list[NDArray[np.float64]]] = {}
        self._started = _clock()

    def start(self) -> None:
        self._started = _clock()

    def stop(self, name: str, per: int = 1) -> None:
        """End a turn of `name` that did `per` pieces of work."""
        self._laps.setdefault(name, []).append((_clock() - self._started) / per)

    def seconds(self, name: str) -> NDArray[np.float64]:
        """The median turn, [wall, CPU]."""
        return np.median(self._counted(name), axis=0)

    def ratio(self, slow: str, fast: str) -> NDArray[np.float64]:
        """How many times longer `slow` took, the median over the turns, [wall, CPU]."""
        return np.median(self._counted(slow) / self._counted(fast), axis=0)

    def _counted(self, name: str) -> NDArray[np.float64]:
        return np.stack(self._laps[name][WARM_UP:])


def _clock() -> NDArray[np.float64]:
    return np.array((time.perf_counter(), time.process_time()))


@dataclass(frozen=True)
class Keeping:
    """Whether images are kept in memory: by ultralytics, and by spdbuild, whose mosaics may need partners at hand."""

    title: str
    theirs: bool
    ours: Cache
    partners: Literal["any", "batch"] = "any"


KEEPINGS = (
    Keeping("images in memory", True, "ram"),
    Keeping("from files, with the defaults of both", False, "auto"),
    Keeping("from files, nothing kept, partners: batch", False, "none", "batch"),
)


def compare_loaders(box: BlackBox, data: DetectionSet, options: argparse.Namespace) -> None:
    """Epochs of the two loaders in turns, with and without images kept in memory."""
    for keeping in KEEPINGS:
        theirs = box.loader(keeping.theirs)
        ours = {f"spdbuild, {name}": our_loader(data, options, keeping, name) for name in BACKENDS}
        laps = Laps()
        for epoch in range(WARM_UP + options.rounds):
            laps.start()
            laps.stop("ultralytics", sum(len(batch["img"]) for batch in theirs))
            for name, loader in ours.items():
                loader.set_epoch(epoch)
                laps.start()
                laps.stop(name, sum(len(batch) for batch in loader))
        print(f"\nloader, {keeping.title}: images a second")
        for name in ("ultralytics", *ours):
            print(_row(name, 1 / laps.seconds(name), laps.ratio("ultralytics", name)))


def our_loader(data: DetectionSet, options: argparse.Namespace, keeping: Keeping, backend: Backend) -> DetectionLoader:
    augment = DetectionAugmentation(partners=keeping.partners, backend=backend)
    return DetectionLoader(data, options.batch, options.size, augment=augment, shuffle=True, cache=keeping.ours)


def compare_steps(box: BlackBox, file: Path, data: DetectionSet, options: argparse.Namespace, folder: Path) -> None:
    """Steps of ultralytics, of `spdbuild train` and of the plain loop in turns."""
    models: dict[str, nn.Module] = {}
    steps: dict[str, Step] = {}
    for architecture in ("yolov5", "yolov5_spd"):
        text = RECIPE.format(architecture=architecture, size=options.size, data=file, batch=options.batch)
        for precision in ("auto", "fp32"):
            name = f"{architecture}, {'defaults' if precision == 'auto' else precision}"
            models[name], steps[name] = engine_step(text, [f"precision={precision}"], folder / str(len(models)))
        name = f"{architecture}, plain loop"
        models[name], steps[name] = plain_step(architecture, len(data.names), options)
    laps, batches = Laps(), endless(our_loader(data, options, KEEPINGS[0], "auto"))

    def turn() -> None:
        laps.stop("ultralytics")
        batch = next(batches)
        for name, step in steps.items():
            laps.start()
            step(batch)
            laps.stop(name)

    box.steps(WARM_UP + options.steps, laps.start, turn)
    models["ultralytics"] = box.model()
    print(f"\nstep, batch {options.batch}: milliseconds; ratios to ultralytics, then to the plain loop")
    for name in ("ultralytics", *steps):
        others = ["ultralytics", *([f"{name.split(',')[0]}, plain loop"] if name in steps else [])]
        row = _row(name, 1000 * laps.seconds(name), *(laps.ratio(other, name) for other in others))
        print(row, cost(models[name], options.size), sep="  ")


def engine_step(text: str, overrides: list[str], folder: Path) -> tuple[nn.Module, Step]:
    """The network of a recipe, and a step of `spdbuild train` on it."""
    folder.mkdir()
    session = make_session(
        load_recipe(text, overrides), RunFolder(folder), Console(quiet=True), Processes(), torch.device("cpu")
    )
    updates = Updates(session)
    session.learner.model.train()

    def step(batch: DetectionBatch) -> None:
        updates.step([(to_network(batch.images, session.device, torch.channels_last), batch.targets)])

    return session.learner.model, step


def plain_step(architecture: str, classes: int, options: argparse.Namespace) -> tuple[nn.Module, Step]:
    """The same network and loss in a loop as one writes it by hand: fp32, channels first, loss.item() in every step."""
    network = spdbuild.load(architecture, variant="n", vars={"classes": classes})
    model = spdbuild.build(network).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.937, nesterov=True, weight_decay=5e-4)
    criterion = DetectionCriterion(head_of(model), DetectionLossOptions(), options.size)

    def step(batch: DetectionBatch) -> None:
        loss = criterion(model(batch.images.float() / 255), batch.targets)["loss"] * options.batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return model, step


def endless(loader: DetectionLoader) -> Iterator[DetectionBatch]:
    """Full batches, epoch after epoch."""
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from (batch for batch in loader if len(batch) == loader.batch)
        epoch += 1


@torch.no_grad()
def cost(model: nn.Module, size: int) -> str:
    """Parameters, and multiplications of the convolutions for one image."""
    with FlopCounterMode(display=False) as counter:
        model.float().eval()(torch.zeros(1, 3, size, size))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return f"{parameters:,} parameters, {counter.get_total_flops() / 2e9:.3f} G MACs"


def _row(name: str, rates: NDArray[np.float64], *ratios: NDArray[np.float64]) -> str:
    cells = "  ".join(f"x {wall:5.2f} (CPU x {cpu:5.2f})" for wall, cpu in ratios)
    return f"{name:28} {rates[0]:8.1f} (CPU {rates[1]:8.1f})  {cells}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a dataset YAML in YOLO's layout")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each loader")
    parser.add_argument("--steps", type=int, default=10, help="steps of each training")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = copied(Yolo(options.dataset), folder / "data")
        box = BlackBox(file, options.size, options.batch, folder)
        torch.set_num_threads(options.threads)
        data = Yolo(str(file)).open("train")
        threads = f"{torch.get_num_threads()} threads"
        print(f"{len(data)} images at {options.size}, ultralytics {box.version}, torch {torch.__version__}, {threads}")
        if options.rounds:
            compare_loaders(box, data, options)
        if options.steps:
            compare_steps(box, file, data, options, folder)


def copied(dataset: Yolo, folder: Path) -> Path:
    """The YAML of a copy of a data set: ultralytics writes into the folder."""
    convert({split: dataset.open(split) for split in ("train", "val")}, "yolo", folder)
    return folder / "data.yaml"


if __name__ == "__main__":
    main()
