"""A starting recipe, fitted to a data set: its network, its sizes, its statistics, and why."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from spdbuild.data.dataset import require_same_classes, splits_of
from spdbuild.data.detection.check import placeholder
from spdbuild.data.detection.findings import why_no_object
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.data.files.decoding import deep_range
from spdbuild.data.files.images import pixel_remarks
from spdbuild.data.overview.statistics import channel_statistics
from spdbuild.errors import DataError, MissingSplitError
from spdbuild.text.yaml_text import inline
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.recipe.sections import plain

#: The number of images that are looked at to choose a size and levels for all.
_LOOKED_AT = 500
#: Sides in pixels: up to the first, the network for small images is used; no classifier gets more than the second.
_SMALL, _LARGE = 64, 224
#: The least standard deviation: a channel of one value would have none to divide by.
_LEAST = 1e-4
#: A classifier's batch, and its learning rate; where an epoch has fewer batches than the last number, the batch is
#: halved, but not below the second one, and the rate with it. Measured with 42 images of CIFAR-10 in 3 classes, 60
#: others to evaluate on, and 3 seeds: with a batch of 64 at 0.05, 60 steps in all, the loss of evaluations rose to
#: 1,300 to 41,000 and ended at 1.9 to 7.6 (top1 0.60, 0.67, 0.67): batch norm's averages lag behind weights that change
#: so fast. With 8 at 0.00625 it rose to 18 to 49 and ended at 1.1 to 1.5 (0.70, 0.68, 0.67).
_BATCH, _LEAST_BATCH, _RATE, _BATCHES = 64, 8, 0.05, 10
#: If the largest class has this many times the images of the smallest, classes are weighted.
_UNEVEN = 5
#: The share of the training images that is held out where there are no others to evaluate on.
_VAL_SHARE = 0.2
#: A detector's input in pixels, a multiple of _CELL; with a median object smaller than _TINY there, tiles are used.
_INPUT, _CELL, _TINY = 640, 32, 12

_CLASSIFIER = """\
# {command}
# {facts}
architecture: {architecture}
passes: ["strided_to_spd()"]    # every stride becomes SPD-Conv
{data}
augment:
  - {{name: random_crop, padding: {padding}}}
  - {{name: horizontal_flip}}     # leave it out where left and right differ, as they do in digits
preprocess:
  - {{name: normalize, mean: {mean}, std: {std}}}    # of the training images
{uneven}batch: {batch}{smaller}
epochs: 60
optimizer: {{name: sgd, lr: {lr:g}, momentum: 0.9, nesterov: true, weight_decay: 0.0005}}
schedule: {{name: cosine, warmup_batches: {warmup}}}    # those of 3 epochs
compare:
  strided: {{passes: []}}         # the same network with its strides, trained beside it
"""

_WEIGHTED = """\
# The largest class has {ratio:.0f} times the images of the smallest.
loss: {{name: cross_entropy, class_weights: balanced}}
task: {{monitor: mean_class_top1}}
"""

_DETECTOR = """\
# {command}
# {facts}
architecture: yolov5
variant: n                      # n, s, m, l or x: small to large
passes: ["strided_to_spd()"]    # every stride becomes SPD-Conv
input: [3, {side}, {side}]
{data}
{task}batch: 16
epochs: 100
optimizer: {{name: sgd, lr: 0.01, momentum: 0.937, nesterov: true, weight_decay: 0.0005}}
schedule:
  name: cosine
  final: 0.01
  warmup_batches: {warmup}          # those of 3 epochs
  warmup_start: 0
  warmup_bias_lr: 0.1
  warmup_momentum: 0.8
ema: {{decay: 0.9999, ramp: 2000}}
compare:
  strided: {{passes: []}}         # the same network with its strides, trained beside it
"""

_TILES = """\
# In whole images of this side half of the objects would have less than {tiny} pixels: it looks at tiles.
task:
  tiles: {{size: {side}}}
"""


_SMALLER = "                        # with so few images; the learning rate is lower in proportion"

_SHARE = """\
# There is no folder of images to evaluate on: val_share holds out a fifth of each class of the training images.
"""

_IGNORED = """\
# No object is of the category '{name}', which has the id 0: a placeholder, as in Roboflow's exports.
"""


def beginning(data_set: Any, file: str) -> str:
    """The text of a recipe for a data set, which will be in `file`.

    Its numbers are the usual ones for such data, and what was counted: a starting point, not the best.
    Raises DataError if the data are not what they should be, or for a task that is neither classification nor
    detection.
    """
    texts = {"classification": _classifier, "detection": _detector}
    if data_set.task not in texts:
        message = f"there is no starting recipe for the task of the data set '{data_set.name}': {data_set.task}"
        raise DataError(message, hint=f"it is made for {' and '.join(texts)}; `spdbuild schema recipe` shows the keys")
    return texts[data_set.task](data_set, f"spdbuild train {file}")


def _classifier(data_set: Any, command: str) -> str:
    given, data_set = data_set, _evaluated(data_set)
    note = _SHARE if data_set != given else ""
    data_set = _sized(_levelled(data_set, lambda: data_set.listing("train").paths))
    images = data_set.open("train")
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    mean, std = (", ".join(f"{max(value, _LEAST):.4f}" for value in values) for values in channel_statistics(images))
    height, width = images.size
    ratio, batch = max(counts) / max(min(counts), 1), _batch(len(images))
    each = f"{min(counts):,} to {max(counts):,}" if ratio > 1 else f"{counts[0]:,}"
    facts = f"{len(images):,} training images of {width}x{height} pixels in {len(counts)} classes, {each} a class; "
    return _CLASSIFIER.format(
        command=command,
        facts=f"{facts}evaluated on {splits_of(data_set)[1]}.",
        architecture="cifar_resnet18" if max(height, width) <= _SMALL else "resnet18",
        data=note + _noted(images.paths, data_set) + f"data: {_data(data_set)}",
        padding=max(min(height, width) // 8, 1),
        mean=f"[{mean}]",
        std=f"[{std}]",
        uneven=_WEIGHTED.format(ratio=ratio) if ratio >= _UNEVEN else "",
        batch=batch,
        smaller=_SMALLER if batch < _BATCH else "",
        lr=_RATE * batch / _BATCH,
        warmup=_warmup(len(images), batch),
    )


def _batch(images: int) -> int:
    """The batch of a classifier."""
    batch = _BATCH
    while batch > _LEAST_BATCH and images < _BATCHES * batch:
        batch //= 2
    return batch


def _evaluated(data_set: Any) -> Any:
    """The data set with a part of its training images held out if it can do so and has no others to evaluate on.

    Raises DataError if those that it has cannot be evaluated on.
    """
    if not hasattr(data_set, "listing"):
        return data_set
    try:
        data_set.listing(splits_of(data_set)[1])
    except MissingSplitError:
        if getattr(data_set, "val_share", None) != 0:
            raise
        return dataclasses.replace(data_set, val_share=_VAL_SHARE)
    return data_set


def _levelled(data_set: Any, paths: Callable[[], Iterable[Path | None]]) -> Any:
    """The data set with levels where its images are grey of more than 8 bits: the range of those looked at."""
    if getattr(data_set, "levels", ()) is not None:
        return data_set
    ranges = [found for path in islice(paths(), _LOOKED_AT) if path and (found := deep_range(path))]
    if not ranges:
        return data_set
    black, white = min(low for low, _ in ranges), max(high for _, high in ranges)
    return dataclasses.replace(data_set, levels=(black, white)) if black < white else data_set


def _noted(paths: Sequence[Path], data_set: Any) -> str:
    """Comments on what the images lose that no key of the recipe can keep."""
    remarks = pixel_remarks(paths, getattr(data_set, "levels", None), "to train on")
    return "".join(f"# {remark}\n" for remark in remarks)


def _sized(data_set: Any) -> Any:
    """The data set with one size for all images where they have several: near the median of their shorter sides."""
    if getattr(data_set, "size", 0) is not None or not hasattr(data_set, "listing"):
        return data_set
    sizes = _sizes(data_set.listing("train").paths)
    if len(set(sizes)) <= 1:
        return data_set
    side = min(max(round(median(map(min, sizes)) / _CELL), 1) * _CELL, _LARGE)
    return dataclasses.replace(data_set, size=side, resize="crop")


def _sizes(paths: Iterable[Any]) -> list[tuple[int, int]]:
    """Height and width of the first images that can be read."""
    return [size for path in islice(paths, _LOOKED_AT) if isinstance(size := image_size(path), tuple)]


def _detector(data_set: Any, command: str) -> str:
    dataset: DetectionSet = data_set.open("train")
    ignored = placeholder(dataset)
    if ignored is not None:
        data_set = dataclasses.replace(data_set, ignore=(*data_set.ignore, ignored))
        dataset = data_set.open("train")
    with suppress(MissingSplitError):
        require_same_classes(dataset.names, data_set.read("val").names)
    data_set = _levelled(data_set, lambda: (image.path for image in dataset.images))
    objects = dataset.objects
    if not objects.counted.any():
        message = f"the training images have no object to learn: {len(dataset):,} images"
        raise DataError(message, hint=why_no_object(dataset.findings))
    longest = median(max(image.height, image.width) for image in dataset.images)
    side = min(max(round(longest / _CELL), 1) * _CELL, _INPUT)
    sides = np.maximum(objects.width, objects.height)[objects.counted]
    seen = float(np.median(sides)) * side / longest
    facts = (
        f"{len(dataset):,} training images, {len(sides):,} objects of {len(dataset.names)} classes; "
        f"half of them below {np.median(sides):.0f} pixels, in images of {longest:.0f}."
    )
    tiled = seen < _TINY and longest > side
    task = _TILES.format(side=side, tiny=_TINY) if tiled else ""
    note = "" if ignored is None else _IGNORED.format(name=ignored)
    images = DetectionImages(dataset, side, TileOptions(side if tiled else None)).to_learn()
    warmup = _warmup(len(images), 16)
    paths = [image.path for image in dataset.images if image.path is not None]
    data = note + _noted(paths, data_set) + f"data: {_data(data_set)}"
    return _DETECTOR.format(command=command, facts=facts, side=side, data=data, task=task, warmup=warmup)


def _warmup(images: int, batch: int) -> int:
    """The batches of three epochs. A warmup in epochs would rule out a trial of a single one."""
    return 3 * math.ceil(images / batch)


def _data(data_set: Any) -> str:
    """The fields of a data set that differ from their defaults, on one line."""
    defaults = {field.name: plain(field.default) for field in dataclasses.fields(data_set)}
    return inline({name: value for name, value in plain(data_set).items() if value != defaults.get(name)})
