"""What the training engine asks of a kind of problem. `TASKS` finds them by name; the engine knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from spdbuild.charts.chart import Chart
from spdbuild.metrics.by_image import ByImage
from spdbuild.registry import Registry


@dataclass(frozen=True)
class Metric:
    """What is known of a metric before anything is measured.

    better: which of its values are the better ones.
    share: whether it is between 0 and 1.
    """

    better: Literal["higher", "lower"]
    share: bool

    def beats(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best one so far, None: there was none; what is no number never is."""
        if best is None:
            return value == value  # noqa: PLR0124  # Not so of what is no number.
        return value > best if self.better == "higher" else value < best


class Batches(Protocol):
    """What a data set gives the loop: batches of (images, targets) in an order that (seed, epoch) determine."""

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Which epoch the next iteration is, and how many of its batches are skipped."""

    def __len__(self) -> int:
        """Batches of a whole epoch."""

    def __iter__(self) -> Any: ...


@dataclass(frozen=True)
class Evaluation:
    """What a model does on a data set.

    scalars: metrics by name, each one number.
    undefined: names of further metrics, for which the data has nothing to measure.
    classes: names of classes.
    rows: one mapping of metrics a class, in the order of `classes`; None where one is undefined.
    confusion: [classes, outputs] counts, true class by predicted class, where the task has such a thing.
    outcomes: names of the rows and columns of `confusion`, if they are not the classes alone.
    confusion_note: which answers are counted there, if not all.
    counts: how many there are of what, by name.
    charts: lines by the name of their picture.
    files: further files of a report by name; a text is only made when it is written.
    order: names of all metrics as they are shown, if not the scalars before the undefined ones.
    protocol: how it was judged, in words.
    by_image: what the metrics are made of, image by image, if the task tells. images: their names, in its order.
    """

    scalars: dict[str, float]
    undefined: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    rows: tuple[dict[str, float | None], ...] = ()
    confusion: Tensor | None = None
    outcomes: tuple[str, ...] = ()
    confusion_note: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    charts: dict[str, Chart] = field(default_factory=dict)
    files: dict[str, Callable[[], str]] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    protocol: str = ""
    by_image: ByImage | None = None
    images: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, float | None]:
        """All metrics in the order in which they are shown; None where there is nothing to measure."""
        values = {**self.scalars, **dict.fromkeys(self.undefined)}
        return {name: values[name] for name in self.order or values}


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model sees in one picture.

    file: where it is from. frame: number of the picture in a video, else None.
    found: a mapping for each thing, the likeliest first: class, index of the class, score, and `box` (left, top, right,
        bottom in pixels) where there is one.
    pixels: uint8 [height, width, 3], if the task had to read them.
    problem: why the file cannot be read, with its name; empty: it can.
    """

    file: Path
    found: tuple[dict[str, Any], ...]
    frame: int | None = None
    pixels: NDArray[np.uint8] | None = None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The entry of `spdbuild predict --json`."""
        frame = {} if self.frame is None else {"frame": self.frame}
        size = {} if self.pixels is None else {"height": self.pixels.shape[0], "width": self.pixels.shape[1]}
        problem = {"error": self.problem} if self.problem else {}
        return {"file": str(self.file), **frame, **size, "predictions": list(self.found), **problem}


class Meter(Protocol):
    """Gathers what a model gives, batch by batch; a meter of each process, merged in the end."""

    def update(self, outputs: Any, targets: Any) -> None:
        """Take in one batch, on whatever device it is."""

    def state(self) -> dict[str, Any]:
        """What `merge` of another process's meter needs; tensors on the CPU."""

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Become the meter of all processes, given every process's state, this one's among them."""

    def evaluation(self) -> Evaluation:
        """The metrics of everything taken in."""


def evenly(count: int, most: int) -> list[int]:
    """At most `most` positions of 0 to count - 1, spread over all of them; always the same."""
    return [index * count // min(count, most) for index in range(min(count, most))]


class Task:
    """Base of all tasks: frozen dataclasses whose fields are the keys of the section `task`.

    A task opens data, turns outputs into a loss and into metrics, and predicts for files.
    """

    name: ClassVar[str] = ""
    #: Name of the loss of a recipe that gives none.
    default_loss: ClassVar[str]
    #: Whether a step follows the sum of its images' losses, as some published learning rates are meant, not their mean.
    summed: ClassVar[bool] = False
    #: Keys of a recipe that mean nothing here, each with what to do instead.
    unused: ClassVar[dict[str, str]] = {}

    #: The metric, one of `metrics`, that says which epoch is the best.
    monitor: str

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that are said after each epoch besides `monitor`; all, if it names none."""
        return ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The metrics that are said after each epoch, that which says the best among them; all, if it names none."""
        return tuple(dict.fromkeys((*self.headline, self.monitor))) if self.headline else ()

    def splits(self, recipe: Any) -> tuple[str, ...]:
        """Names of the data's splits: the one to train on, the one to evaluate on, others."""
        raise NotImplementedError

    def open(self, recipe: Any, split: str) -> Any:
        """The images of one of `splits`; raises DataError.

        What it returns has `classes`, a length, and `size` (height, width) if that is the same for all images; and a
        text `digest` if a resumed run shall refuse images that have another one.
        """
        raise NotImplementedError

    def to_learn(self, images: Any) -> Any:
        """The images that `open` gave as they are trained on: a task may cut them, or choose among them."""
        return images

    def size(self, recipe: Any, images: Any) -> tuple[int, int] | None:
        """Height and width of what the network gets of each of the images; None where the recipe alone says it."""
        return None

    def remarks(self, images: Any, purpose: str) -> list[str]:
        """What must be said of the data before they are used, as lines. purpose: "to train on" or "to evaluate on"."""
        return []

    def settled(self, recipe: Any, model: nn.Module) -> tuple[str, ...]:
        """Names of tensors of a fresh model whose values the recipe gives, so that no file of weights changes them."""
        return ()

    def prepare(self, recipe: Any, model: nn.Module, images: Any) -> list[str]:
        """Fit a fresh model to the training images before anything is made of it; what was done, as lines."""
        return []

    def batches(
        self, recipe: Any, images: Any, *, training: bool, rank: int, world: int, device: torch.device
    ) -> Batches:
        """Batches for the process `rank` of `world`: its part of each batch when training, else its part of all."""
        raise NotImplementedError

    def criterion(self, recipe: Any, model: nn.Module, images: Any) -> Any:
        """A function (outputs, targets) -> mapping of means over the batch; the entry `loss` is minimised.

        images: those that the model is trained on.
        """
        raise NotImplementedError

    def distance(self, outputs: Any, teacher_outputs: Any, temperature: float) -> Tensor:
        """How far outputs are from those of a teacher, for distillation."""
        raise NotImplementedError

    def meter(self, recipe: Any, model: nn.Module, images: Any, device: torch.device) -> Meter:
        """An empty meter for the images that `open` gave."""
        raise NotImplementedError

    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of an evaluation that can be better or worse, whether the data at hand tells them or not."""
        raise NotImplementedError

    def stages(
        self, recipe: Any, model: nn.Module, images: Any, batch: int, precision: str, device: torch.device
    ) -> dict[str, float]:
        """Milliseconds an image that each stage from file to result takes in batches of `batch`; {} if not known."""
        return {}

    def check(self, outputs: Any, classes: tuple[str, ...]) -> None:
        """Refuse a network whose outputs for one batch do not fit the data; raises RecipeError."""

    def outputs(self, model: nn.Module) -> int | None:
        """How many classes a model has; None if that cannot be seen in it."""
        return None

    def predict(
        self, recipe: Any, model: nn.Module, classes: tuple[str, ...], input: tuple[int, ...], files: list[Path]
    ) -> Iterable[Prediction]:
        """What the model, in eval mode, sees in each file, in their order; of one that cannot be read, why.

        input: shape [C, H, W] of an image of the training, before `preprocess`.
        """
        raise NotImplementedError

    def samples(self, recipe: Any, model: nn.Module, images: Any) -> Image.Image | None:
        """A sheet with what the model, in eval mode, sees in some of the images, and what is there; None: no such."""
        return None


TASKS: Registry[Task] = Registry("task", "spdbuild.training.tasks", "spdbuild.tasks")
