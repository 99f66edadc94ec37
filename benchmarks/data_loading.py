"""Images a second that the loader prepares for training, against torchvision's transforms one image at a time.

    python benchmarks/data_loading.py [FOLDER] [--augment rand_augment] [--size 224]

The protocol is that of CIFAR-10: random crop with padding 4, horizontal flip, normalise, batches of 128; with --augment
a policy behind the flip, both with the same numbers. FOLDER holds CIFAR-10 as class folders; without it generated
images are used, 10,000 of 32x32 pixels or fewer of another size. Both pipelines run in turn, on one thread each; the
last line is the median ratio of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from spdbuild.data import ArrayImages, Loader
from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.data.augment.normalize import STATISTICS
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.generated import Generated

BATCH = 128

#: torchvision's policies with the numbers of our examples.
POLICIES = {
    "rand_augment": v2.RandAugment(num_ops=2, magnitude=9),
    "trivial_augment": v2.TrivialAugmentWide(),
    "color_jitter": v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
}


class OneByOne(Dataset[Any]):
    """Images in memory, as PIL images, with torchvision's transforms: the loop of its reference scripts."""

    def __init__(self, images: ArrayImages, augment: str | None) -> None:
        mean, std = STATISTICS["cifar10"]
        self.images = [v2.functional.to_pil_image(image) for image in images.images]
        self.labels = images.labels.tolist()
        self.transform = v2.Compose(
            [
                v2.RandomCrop(images.images.shape[-1], padding=4),
                v2.RandomHorizontalFlip(),
                *([POLICIES[augment]] if augment else []),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def in_batches(images: ArrayImages, augment: str | None) -> Loader:
    """The loader of spdbuild with the same protocol."""
    steps = [
        AUGMENTATIONS["random_crop"](padding=4),
        AUGMENTATIONS["horizontal_flip"](),
        *([AUGMENTATIONS[augment].example()] if augment else []),
        AUGMENTATIONS["normalize"](statistics="cifar10"),
    ]
    return Loader(images, BATCH, shuffle=True, augment=steps)


def images_per_second(batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Over one epoch."""
    start = time.perf_counter()
    count = sum(len(labels) for _, labels in batches)
    return count / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="CIFAR-10 as a folder of classes")
    parser.add_argument("--augment", choices=POLICIES, help="a policy besides")
    parser.add_argument("--size", type=int, default=32, help="side of the generated images in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    count = max(2 * BATCH, 10_000 * 32**2 // arguments.size**2)
    generated = Generated(train=count, size=arguments.size)
    images = (Folder(arguments.folder) if arguments.folder else generated).open("train")
    assert isinstance(images, ArrayImages)
    pipelines: dict[str, Iterable[tuple[Tensor, Tensor]]] = {
        "torchvision, one by one": DataLoader(OneByOne(images, arguments.augment), BATCH, shuffle=True),
        "spdbuild, in batches": in_batches(images, arguments.augment),
    }
    rates: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(arguments.rounds):
        for name, batches in pipelines.items():
            rates[name].append(images_per_second(batches))
    for name, measured in rates.items():
        print(f"{name:26} {statistics.median(measured):10,.0f} images/s")
    slow, fast = rates.values()
    print(f"ratio {statistics.median(b / a for a, b in zip(slow, fast, strict=True)):.1f}")


if __name__ == "__main__":
    main()
