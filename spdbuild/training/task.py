"""What the training engine asks of a task. `TASKS` finds tasks by name; the engine knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from spdbuild.charts.chart import Chart
from spdbuild.data.files.pictures import Source
from spdbuild.data.sampling import Occurrences
from spdbuild.declaring.registry import Registry
from spdbuild.errors import RecipeError
from spdbuild.graph import Graph
from spdbuild.metrics.by_image import ByImage
from spdbuild.metrics.probabilities import Probabilities
from spdbuild.training.result import number_text


@dataclass(frozen=True)
class Metric:
    """What is known about a metric before anything is measured.

    better: whether higher or lower values are better.
    share: whether it lies between 0 and 1.
    """

    better: Literal["higher", "lower"]
    share: bool

    def beats(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best one so far, None if there is none; NaN never is."""
        if best is None:
            return value == value  # noqa: PLR0124  # False for NaN.
        return value > best if self.better == "higher" else value < best


class Batches(Protocol):
    """What a data set gives the loop: batches of (images, targets) in an order determined by (seed, epoch)."""

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Set the epoch of the next iteration, and how many of its batches are skipped."""

    def __len__(self) -> int:
        """The number of batches of a whole epoch."""

    def __iter__(self) -> Any: ...


@dataclass(frozen=True)
class Evaluation:
    """The results of a model on a data set.

    scalars: metrics by name, each one number.
    undefined: names of further metrics, for which the data has nothing to measure.
    classes: names of classes.
    rows: one mapping of metrics per class, in the order of `classes`; None for an undefined metric.
    confusion: [classes, outputs] counts, true class by predicted class, if the task has such a matrix.
    outcomes: names of the rows and columns of `confusion`, if they are not the classes alone.
    confusion_note: which predictions are counted there, if not all.
    counts: numbers of things, such as skipped images, by name.
    charts: lines by the name of their picture.
    files: further files of a report by name; a text is only made when it is written.
    order: names of all metrics in display order, if not the scalars before the undefined ones.
    protocol: how the model was evaluated, in words.
    warnings: what makes the metrics worse than the model is, as sentences.
    by_image: what the metrics are made of, image by image, if the task provides it. images: their names, in its order.
    probabilities: of all classes for each image, if they were asked for.
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
    warnings: tuple[str, ...] = ()
    by_image: ByImage | None = None
    images: tuple[str, ...] = ()
    probabilities: Probabilities | None = None

    def __repr__(self) -> str:
        return f"Evaluation({', '.join(f'{name}={number_text(value)}' for name, value in self.metrics.items())})"

    @property
    def metrics(self) -> dict[str, float | None]:
        """All metrics in display order; None where there is nothing to measure."""
        values = {**self.scalars, **dict.fromkeys(self.undefined)}
        return {name: values[name] for name in self.order or values}


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model finds in one picture.

    file: where it is from. frame: number of the picture in a video, else None.
    found: a mapping for each thing, the most likely first: class, index of the class, score, and `box` (left, top,
        right, bottom in pixels) if there is one.
    pixels: uint8 [height, width, 3], if the task had to read them.
    problem: why the file cannot be read, with its name; empty if it can.
    probabilities: float32 [K], those of all classes, if the task `classifies`. classes: their names.
    """

    file: Path
    found: tuple[dict[str, Any], ...]
    frame: int | None = None
    pixels: NDArray[np.uint8] | None = None
    problem: str = ""
    probabilities: NDArray[np.float32] | None = None
    classes: tuple[str, ...] = ()

    def likeliest(self, top: int) -> Prediction:
        """The same with the `top` most likely classes found; without probabilities it stays as it is."""
        if self.probabilities is None:
            return self
        order = np.argsort(-self.probabilities, kind="stable")[:top]
        pairs = zip(order.tolist(), self.probabilities[order].tolist(), strict=True)
        return replace(self, found=tuple({"class": self.classes[i], "index": i, "score": score} for i, score in pairs))

    def to_dict(self) -> dict[str, Any]:
        """The entry of `spdbuild predict --json`."""
        frame = {} if self.frame is None else {"frame": self.frame}
        size = {} if self.pixels is None else {"height": self.pixels.shape[0], "width": self.pixels.shape[1]}
        problem = {"error": self.problem} if self.problem else {}
        return {"file": str(self.file), **frame, **size, "predictions": list(self.found), **problem}


class Meter(Protocol):
    """Accumulates what the metrics need, batch by batch; each process has one, and they are merged in the end."""

    def update(self, outputs: Any, targets: Any) -> None:
        """Add one batch, on whatever device it is."""

    def state(self) -> dict[str, Any]:
        """What `merge` of another process's meter needs; tensors on the CPU."""

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Become the meter of all processes, given the states of all, including this one's."""

    def evaluation(self) -> Evaluation:
        """The metrics of everything that was added."""


def evenly(count: int, most: int) -> list[int]:
    """At most `most` indices from 0 to count - 1, evenly spread and always the same."""
    return [index * count // min(count, most) for index in range(min(count, most))]


class Task:
    """Base of all tasks: frozen dataclasses whose fields are the keys of the section `task`.

    A task opens data, turns outputs into a loss and into metrics, and predicts for files.
    """

    name: ClassVar[str] = ""
    #: Name of the loss of a recipe that names none.
    default_loss: ClassVar[str]
    #: Whether a step follows the sum of its images' losses, as some published learning rates assume, not their mean.
    summed: ClassVar[bool] = False
    #: Keys of a recipe that do not apply to the task, each with what to do instead.
    unused: ClassVar[dict[str, str]] = {}
    #: Whether its predictions have the probabilities of all classes, for which there is then a `probabilities_meter`.
    classifies: ClassVar[bool] = False

    #: The metric, one of `metrics`, that decides which epoch is the best.
    monitor: str

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """The names of the task and of those that it is a subclass of, whose data and losses it takes as well."""
        return tuple(name for base in cls.__mro__ if (name := vars(base).get("name")))

    @property
    def headline(self) -> tuple[str, ...]:
        """Metrics that are logged after each epoch besides `monitor`; all if it is empty."""
        return ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The metrics that are logged after each epoch, `monitor` among them; all if it is empty."""
        return tuple(dict.fromkeys((*self.headline, self.monitor))) if self.headline else ()

    def splits(self, recipe: Any) -> tuple[str, ...]:
        """Names of the data's splits: the one to train on, the one to evaluate on, others."""
        raise NotImplementedError

    def require(self, recipe: Any) -> None:
        """Refuse a recipe that the task cannot use, before its network is resolved; raises RecipeError."""

    def open(self, recipe: Any, split: str) -> Any:
        """The images of one of `splits`; raises DataError.

        The result has `classes`, a length, and `size` (height, width) if that is the same for all images; and a string
        `digest` if a resumed run is to refuse images with another one, and a report not to compare them; `paths`, if
        they are in files.
        """
        raise NotImplementedError

    def to_learn(self, images: Any) -> Any:
        """The images from `open` as they are trained on: a task may cut them up, or select among them."""
        return images

    def renumbered(self, images: Any, classes: tuple[str, ...]) -> Any:
        """Images with other classes, renumbered as in a model's `classes`; None if that is impossible."""
        return None

    def size(self, recipe: Any, images: Any) -> tuple[int, int] | None:
        """Height and width of the network's input for each of the images; None if only the recipe determines it."""
        return None

    def remarks(self, images: Any, purpose: str) -> list[str]:
        """Remarks on the data before they are used, as lines. purpose: "to train on" or "to evaluate on"."""
        return []

    def settled(self, recipe: Any, model: nn.Module) -> tuple[str, ...]:
        """Names of tensors of a fresh model whose values the recipe sets, so that no file of weights changes them."""
        return ()

    def prepare(self, recipe: Any, model: nn.Module, images: Any) -> list[str]:
        """Fit a fresh model to the training images before anything is built on it; returns what was done, as lines."""
        return []

    def occurrences(self, images: Any) -> Occurrences:
        """Which of the images from `to_learn` have which classes, for `sampling`; raises RecipeError without any."""
        raise RecipeError(f"the images of {self.name} are not sampled by classes", hint="leave sampling out")

    def weights(self, recipe: Any, images: Any) -> Tensor | None:
        """How often epochs have the images from `to_learn`, float64 [images], in proportion; None: each once."""
        return None if recipe.sampling is None else recipe.sampling.weights(self.occurrences(images))

    def batches(
        self, recipe: Any, images: Any, *, training: bool, rank: int, world: int, device: torch.device
    ) -> Batches:
        """Batches for the process `rank` of `world`: its part of each batch when training, else its part of all."""
        raise NotImplementedError

    def calibration_batches(self, recipe: Any, images: Any, device: torch.device) -> Batches:
        """Shuffled full batches of the images from `to_learn`, without augmentation, to measure statistics on."""
        plain = replace(recipe, augment=(), drop_last=True)
        return self.batches(plain, images, training=True, rank=0, world=1, device=device)

    def criterion(self, recipe: Any, model: nn.Module, images: Any) -> Any:
        """A function (outputs, targets) -> mapping of means over the batch; the entry `loss` is minimised.

        images: those that the model is trained on.
        """
        raise NotImplementedError

    def distance(self, outputs: Any, teacher_outputs: Any, temperature: float) -> Tensor:
        """The distance of outputs from those of a teacher, for distillation."""
        raise NotImplementedError

    def meter(self, recipe: Any, model: nn.Module, images: Any, device: torch.device) -> Meter:
        """An empty meter for the images that `open` returned; model: the one that `in_use` was made from."""
        raise NotImplementedError

    def probabilities_meter(self, recipe: Any, model: nn.Module, images: Any, device: torch.device) -> Meter:
        """A `meter` whose evaluation has probabilities, too."""
        raise NotImplementedError

    def in_use(self, model: nn.Module) -> nn.Module:
        """The model as evaluation calls it, whose outputs `meter` takes; `criterion` takes those of the model."""
        return model

    def metrics(self) -> Mapping[str, Metric]:
        """The metrics of an evaluation that can be better or worse, whether or not the data at hand defines them."""
        raise NotImplementedError

    def stages(
        self, recipe: Any, model: nn.Module, images: Any, batch: int, precision: str, device: torch.device
    ) -> dict[str, float]:
        """Milliseconds per image of each stage from file to result, in batches of `batch`; {} if not known."""
        return {}

    def check_graph(self, graph: Graph) -> None:
        """Refuse a network that is not for the task, whatever the data; raises RecipeError."""

    def check(self, outputs: Any, classes: tuple[str, ...]) -> None:
        """Refuse a network whose outputs for one batch do not fit the data; raises RecipeError."""

    def outputs(self, model: nn.Module) -> int | None:
        """How many classes a model has; None if the model does not tell."""
        return None

    def predict(
        self, recipe: Any, model: nn.Module, classes: tuple[str, ...], input: tuple[int, ...], sources: list[Source]
    ) -> Iterable[Prediction]:
        """What the model, in eval mode, finds in each source, in order; for an unreadable file the reason.

        input: shape [C, H, W] of a training image before `preprocess`.
        """
        raise NotImplementedError

    def samples(self, recipe: Any, model: nn.Module, images: Any) -> Image.Image | None:
        """A sheet of some images with predictions of the model, in eval mode, and ground truth; None for no sheet."""
        return None


TASKS: Registry[Task] = Registry("task", "spdbuild.training.tasks", "spdbuild.tasks")
