"""Image classification: one label per image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from spdbuild.data import ArrayImages, ImageSet, Loader
from spdbuild.data.dataset import splits_of
from spdbuild.data.files.decoding import BadFile, Resize
from spdbuild.data.files.images import left_out, pixel_remarks
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.pictures import Source, path_of
from spdbuild.data.files.reading import decode_all
from spdbuild.data.loading.batching import positions_of
from spdbuild.data.sampling import Occurrences
from spdbuild.errors import DataError, RecipeError
from spdbuild.graph import Graph
from spdbuild.losses.classification import ClassificationLoss, distillation
from spdbuild.metrics.by_image.answers import Answers
from spdbuild.metrics.classification import judge
from spdbuild.ops.detection import Detect
from spdbuild.pictures.drawing import WRONG, arrange, captioned, thumbnail
from spdbuild.training.probabilities import ProbabilitiesMeter, probabilities_of
from spdbuild.training.task import TASKS, Evaluation, Metric, Prediction, Task, evenly
from spdbuild.training.views import FlipOptions, MeanOfFlips
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe

#: How many images a sheet of samples has, and the width of one in pixels.
_SAMPLES, _SIDE = 32, 128

#: How many of the most likely classes a prediction names.
_NAMED = 5


@TASKS.register
@dataclass(frozen=True)
class Classification(Task):
    """Classify images: outputs are logits [N, K], targets class numbers [N].

    Its metrics are top1 and top5, the shares of the images whose class has the highest logit or one of the five
    highest; mean_class_top1 and mean_class_f1, the means of the classes' own top1 and F1; and loss, the plain
    cross-entropy, whatever loss is minimised, so that runs with other losses, smoothed or mixed labels can be compared.

    monitor: the metric that decides which epoch is the best.
    tta: views of each image whose probabilities are averaged, in evaluation and by `spdbuild predict`.
    """

    default_loss: ClassVar[str] = "cross_entropy"
    classifies: ClassVar[bool] = True

    monitor: Literal["top1", "top5", "mean_class_top1", "mean_class_f1", "loss"] = "top1"
    tta: FlipOptions = field(default_factory=FlipOptions)

    def splits(self, recipe: Recipe) -> tuple[str, ...]:
        return splits_of(recipe.data)

    def open(self, recipe: Recipe, split: str) -> ImageSet:
        images: ImageSet = recipe.data.open(split)
        return images

    def renumbered(self, images: ImageSet, classes: tuple[str, ...]) -> ImageSet | None:
        if not set(images.classes) <= set(classes):
            return None
        numbers = torch.tensor([classes.index(name) for name in images.classes])
        return replace(images, labels=numbers[images.labels], classes=classes)

    def size(self, recipe: Recipe, images: ImageSet) -> tuple[int, int]:
        """That of an image after `preprocess`."""
        empty = ArrayImages(
            torch.zeros(1, 3, *images.size, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), images.classes
        )
        with recipe.about("preprocess"):
            ((pixels, _),) = Loader(empty, 1, shuffle=False, augment=recipe.preprocess)
        return pixels.shape[2], pixels.shape[3]

    def remarks(self, images: ImageSet, purpose: str) -> list[str]:
        return left_out(images.skipped, len(images), purpose) + pixel_remarks(images.paths, images.levels, purpose)

    def occurrences(self, images: ImageSet) -> Occurrences:
        labels = images.labels
        if labels.dtype != torch.int64 or labels.ndim != 1:
            return super().occurrences(images)
        return Occurrences(len(images), torch.arange(len(images)), labels)

    def batches(
        self, recipe: Recipe, images: ImageSet, *, training: bool, rank: int, world: int, device: torch.device
    ) -> Loader:
        if training:
            recipe.check_steps(images.size)
        return Loader(
            images,
            recipe.batch if training else recipe.test_batch or recipe.batch,
            shuffle=training,
            weights=self.weights(recipe, images) if training else None,
            seed=recipe.seed,
            augment=(*recipe.augment, *recipe.preprocess) if training else recipe.preprocess,
            rank=rank,
            world=world,
            workers=recipe.workers,
            drop_last=training and recipe.drop_last,
            device=device,
            channels_last=recipe.channels_last,
        )

    def criterion(self, recipe: Recipe, model: nn.Module, images: ImageSet) -> _Criterion:
        _require_class_numbers(recipe, images)
        loss = recipe.loss_of()
        assert isinstance(loss, ClassificationLoss)
        with recipe.about("loss", arguments="loss"):
            weights = loss.weights(images.labels, images.classes)
        return _Criterion(loss, weights)

    def distance(self, outputs: Tensor, teacher_outputs: Tensor, temperature: float) -> Tensor:
        return distillation(outputs, teacher_outputs, temperature)

    def meter(self, recipe: Recipe, model: nn.Module, images: ImageSet, device: torch.device) -> _Meter:
        _require_class_numbers(recipe, images)
        return _Meter(images, recipe.test_batch or recipe.batch, self.tta.told)

    def probabilities_meter(
        self, recipe: Recipe, model: nn.Module, images: ImageSet, device: torch.device
    ) -> ProbabilitiesMeter:
        _require_class_numbers(recipe, images)
        batch = recipe.test_batch or recipe.batch
        return ProbabilitiesMeter(self.meter(recipe, model, images, device), images, batch)

    def in_use(self, model: nn.Module) -> nn.Module:
        return MeanOfFlips(model, self.tta) if self.tta.views > 1 else model

    def metrics(self) -> dict[str, Metric]:
        shares = dict.fromkeys(("top1", "top5", "mean_class_top1", "mean_class_f1"), Metric("higher", share=True))
        return {**shares, "loss": Metric("lower", share=False)}

    def check_graph(self, graph: Graph) -> None:
        if any(isinstance(node.op, Detect) for node in graph):
            message = f"a classifier gives logits [N, K], and '{graph.name}' is a detector"
            raise RecipeError(message, hint="use a classifier, such as architecture: resnet18")

    def check(self, outputs: Any, classes: tuple[str, ...]) -> None:
        shape = tuple(getattr(outputs, "shape", ()))
        if len(shape) != 2:
            raise RecipeError(
                f"a classifier gives logits [N, K], and this network gives {_described(outputs)}",
                hint="end it with global_avg_pool and linear(classes)",
            )
        if shape[1] < len(classes):
            raise RecipeError(
                f"the network has {shape[1]} outputs and the data has {len(classes)} classes",
                hint=f"set vars.classes={len(classes)}",
            )

    @torch.inference_mode()
    def predict(
        self, recipe: Recipe, model: nn.Module, classes: tuple[str, ...], input: tuple[int, ...], sources: list[Source]
    ) -> Iterator[Prediction]:
        """For each file the probabilities of all classes, and the five most likely ones, the likeliest first.

        A file is resized as the training images were; data of one size do not say how.
        """
        device = next(model.parameters()).device
        batch = recipe.test_batch or recipe.batch
        resize: Resize = getattr(recipe.data, "resize", "squash")
        levels: Levels = getattr(recipe.data, "levels", None)
        for start in range(0, len(sources), batch):
            several = sources[start : start + batch]
            decoded = decode_all(several, (input[1], input[2]), resize, levels, keep=True)
            bad = {file.path: str(file) for file in decoded.bad}
            assert decoded.images is not None
            seen = self._probabilities(recipe, model, classes, torch.from_numpy(decoded.images), device)
            for path in map(path_of, several):
                if path in bad:
                    yield Prediction(path, (), problem=bad[path])
                else:
                    yield Prediction(path, (), probabilities=next(seen), classes=classes).likeliest(_NAMED)

    @torch.inference_mode()
    def samples(self, recipe: Recipe, model: nn.Module, images: ImageSet) -> Image.Image | None:
        indices = evenly(len(images), _SAMPLES)
        pixels = images.images[indices] if isinstance(images, ArrayImages) else images.read(indices)
        if isinstance(pixels, BadFile):
            return None
        seen = self._probabilities(recipe, model, images.classes, pixels, next(model.parameters()).device)
        labels = images.labels[indices].tolist()
        return arrange([_sample(*each, images.classes) for each in zip(pixels, labels, seen, strict=True)], 8)

    def _probabilities(
        self, recipe: Recipe, model: nn.Module, classes: tuple[str, ...], pixels: Tensor, device: torch.device
    ) -> Iterator[NDArray[np.float32]]:
        """The probabilities of the classes, [K], for each of some images, uint8 [N, 3, H, W]."""
        images = ArrayImages(pixels, torch.zeros(len(pixels), dtype=torch.int64), classes)
        model = self.in_use(model)
        for inputs, _ in self.batches(recipe, images, training=False, rank=0, world=1, device=device):
            # Copied, so that whoever keeps one row does not keep those of the whole batch.
            yield from map(np.copy, probabilities_of(model(inputs), len(classes)))


def _require_class_numbers(recipe: Recipe, images: ImageSet) -> None:
    labels = images.labels
    if labels.dtype == torch.int64 and labels.ndim == 1:
        return
    given = f"{str(labels.dtype).removeprefix('torch.')} [{', '.join(map(str, labels.shape))}]"
    message = f"the labels of '{recipe.data.name}' are {given}, and classification takes one class number per image"
    raise DataError(message, location=recipe.place("data"), hint=f"give int64 [{len(images)}], or use another task")


class _Criterion:
    """The loss as the training loop takes it, and the share of hits; in mixed images the larger part counts."""

    def __init__(self, loss: ClassificationLoss, weights: Tensor | None) -> None:
        self._loss, self._weights = loss, weights

    def __call__(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        wanted = labels.argmax(dim=1) if labels.ndim == 2 else labels
        hits = logits.detach().argmax(dim=1) == wanted
        if self._weights is None:
            return {"loss": self._loss(logits, labels), "top1": hits.float().mean()}
        # Kept on the device of the logits, so that no later step waits for a copy.
        self._weights = self._weights.to(logits.device)
        return {"loss": self._loss(logits, labels, self._weights), "top1": hits.float().mean()}


class _Meter:
    """Answers for a process's images, in the order in which it had them.

    batch: images of a batch over all processes, which take turns. views: lines that tell of which the answers are.
    """

    def __init__(self, images: ImageSet, batch: int, views: Sequence[str]) -> None:
        self._images, self._batch, self._views = images, batch, views
        self._judged: list[Tensor] = []
        self._outputs = 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        self._judged.append(judge(logits, labels))
        self._outputs = logits.shape[1]

    def state(self) -> dict[str, Any]:
        # A single copy from the device, because each copy blocks. A process may have had no image at all.
        judged = torch.cat(self._judged).cpu() if self._judged else torch.zeros(0, 3)
        return {"judged": judged, "outputs": self._outputs}

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        states = list(states)
        judged = torch.zeros(len(self._images), 3)
        for rank, state in enumerate(states):
            judged[positions_of(len(judged), self._batch, rank, len(states))] = state["judged"]
        self._judged, self._outputs = [judged], max(state["outputs"] for state in states)

    def evaluation(self) -> Evaluation:
        answers, images = self._answers(), self._images
        names = tuple(map(images.name, range(len(images))))
        return Evaluation(
            scalars={name: value for name, value in answers.metrics().items() if value is not None},
            classes=images.classes,
            rows=tuple(answers.rows()),
            confusion=torch.from_numpy(answers.confusion()),
            counts={"skipped": len(images.skipped)} if images.skipped else {},
            protocol="; ".join([*left_out(images.skipped, len(images), "to evaluate on"), *self._views]),
            by_image=answers,
            images=names,
            files={"images.csv": partial(_answers_csv, answers, images.classes, names)},
        )

    def _answers(self) -> Answers:
        predicted, places, losses = torch.cat(self._judged).double().numpy().T
        labels, classes = self._images.labels.numpy(), len(self._images.classes)
        outputs = max(self._outputs, classes)
        return Answers(labels, predicted.astype(np.int64), places.astype(np.int64), losses, classes, outputs)


def _answers_csv(answers: Answers, classes: Sequence[str], images: Sequence[str]) -> str:
    """A row per image, the highest loss first. images: their names."""
    names = [*classes, *(f"output {number}" for number in range(answers.classes, answers.outputs))]
    table = Table(("image", "class", "predicted", "loss"))
    for i in answers.worst_first().tolist():
        table.add(images[i], names[answers.labels[i]], names[answers.predicted[i]], f"{answers.losses[i]:.6g}")
    return table.csv()


def _sample(pixels: Tensor, label: int, probabilities: NDArray[np.float32], classes: tuple[str, ...]) -> Image.Image:
    """An image uint8 [3, H, W] with its class, and in red also the class that was predicted instead."""
    image = thumbnail(Image.fromarray(pixels.permute(1, 2, 0).cpu().contiguous().numpy()), _SIDE)
    best = int(probabilities.argmax())
    seen = f"{classes[best]} {probabilities[best]:.0%}"
    if best == label:
        return captioned(image, seen, width=_SIDE)
    return captioned(image, classes[label], f"seen as {seen}", colour=WRONG, width=_SIDE)


def _described(outputs: Any) -> str:
    if isinstance(outputs, Tensor):
        return f"a tensor [{', '.join(map(str, outputs.shape))}]"
    return f"{len(outputs)} outputs" if isinstance(outputs, list | tuple) else "no tensor"
