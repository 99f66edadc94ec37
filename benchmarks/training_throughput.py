"""Images a second in training, as ratios to a plain PyTorch loop over the same network and images, in one run.

    python benchmarks/training_throughput.py [--architecture A] [--images N] [--batch B] [--rounds R] [--threads T]
                                             [--precision P]

The plain loop is what one writes by hand: fp32, a DataLoader over the tensors, SGD, loss.item() in every step. It is
compared with `spdbuild train` at the same precision and memory format, and with the defaults; and these with the same
loop by hand in their precision and format, which says what the engine itself costs on a processor where that precision
is not the quickest. All four take turns; the last lines are the medians of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import spdbuild
from spdbuild.data.sets.generated import Generated
from spdbuild.training.precision import autocast, choose_precision
from spdbuild.training.recipe import Recipe, load_recipe
from spdbuild.training.running.run import train

SAME = ["precision=fp32", "channels_last=false"]


def plain_loop(recipe: Recipe, batch: int, precision: str = "fp32", *, channels_last: bool = False) -> float:
    """Images a second of an epoch of the plain loop."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = recipe.data.open("train")
    model = spdbuild.build(spdbuild.load(recipe.architecture, vars={"classes": len(images.classes)}))
    model = model.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(TensorDataset(images.images, images.labels), batch, shuffle=True)
    model.train()
    start, total = time.perf_counter(), 0.0
    for pixels, labels in loader:
        with autocast(precision, torch.device("cpu")):
            loss = cross_entropy(model((pixels.float() / 255).contiguous(memory_format=layout)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(labels)
    return len(images) / (time.perf_counter() - start)


def engine(text: str, overrides: list[str]) -> float:
    """Images a second of an epoch of `spdbuild train`."""
    with tempfile.TemporaryDirectory() as runs:
        folder = train(load_recipe(text, overrides), runs=runs, quiet=True).folder
        row = json.loads((Path(folder) / "metrics.jsonl").read_text().splitlines()[0])
    return float(row["images_per_second"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="resnet50_spd_cifar10")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--precision", default="auto", help="of `spdbuild train` beside the plain loop's: auto, bf16, ..."
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = Generated(train=options.images, test=9, size=32)
    text = (
        f"architecture: {options.architecture}\n"
        f"data: {{name: generated, train: {data.train}, test: {data.test}, size: {data.size}}}\n"
        f"batch: {options.batch}\nepochs: 1\noptimizer: {{lr: 0.01}}\nworkers: 0\n"
    )
    recipe = load_recipe(text)
    precision = choose_precision(options.precision, torch.device("cpu"))
    own = f"{precision} and channels_last"
    ratios: dict[str, list[float]] = {"same precision and format": [], own: []}
    by_hand = []
    for number in range(options.rounds):
        plain, same = plain_loop(recipe, options.batch), engine(text, SAME)
        tuned = plain_loop(recipe, options.batch, precision, channels_last=True)
        ours = engine(text, [f"precision={precision}"])
        ratios["same precision and format"].append(same / plain)
        ratios[own].append(ours / plain)
        by_hand.append(ours / tuned)
        print(
            f"round {number + 1}: plain {plain:.1f}, same {same:.1f}, {own}: by hand {tuned:.1f}, "
            f"spdbuild {ours:.1f} images/s",
            flush=True,
        )
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} times the plain loop")
    print(f"{own}: {statistics.median(by_hand):.2f} times the same by hand")


if __name__ == "__main__":
    main()
