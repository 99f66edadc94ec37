"""Object detection: boxes with classes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from spdbuild.data.detection.check import reaching_out
from spdbuild.data.detection.findings import count, summary, why_no_object
from spdbuild.data.detection.loader import MULTIPLE, DetectionLoader
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.store import Cache
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.data.files.cache import cache_folder
from spdbuild.data.files.images import pixel_remarks
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.pictures import Source, path_of
from spdbuild.data.sampling import Occurrences
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import ArgumentError, DataError, DiskFullError, RecipeError, nearest
from spdbuild.graph import Graph
from spdbuild.losses.detection import DetectionLossOptions
from spdbuild.ops.detection import Detect
from spdbuild.training.detection import video
from spdbuild.training.detection.criterion import DetectionCriterion
from spdbuild.training.detection.head import check_maps, describe_fit, fit_anchors, head_of
from spdbuild.training.detection.images import DetectionBatches, DetectionImages
from spdbuild.training.detection.limits import limits_exceeded
from spdbuild.training.detection.meter import DetectionMeter
from spdbuild.training.detection.options import FittingOptions, JudgingOptions, SeeingOptions
from spdbuild.training.detection.samples import draw_samples
from spdbuild.training.detection.seeing import Seer, read_picture
from spdbuild.training.detection.stages import measure_stages
from spdbuild.training.detection.tiled_meter import TiledMeter
from spdbuild.training.detection.views import Detector, ViewOptions
from spdbuild.training.network.network import declared_input
from spdbuild.training.task import TASKS, Meter, Metric, Prediction, Task

if TYPE_CHECKING:
    from spdbuild.data.detection.table import DetectionSet
    from spdbuild.training.recipe import Recipe

_LOG = logging.getLogger("spdbuild.training")

_LIMITED = (
    "warning: %s: NMS kept %d boxes, the most that it keeps of a picture or tile; if some are missing, raise "
    "--max-detections (task.seeing.nms.max_detections)"
)


@TASKS.register
@dataclass(frozen=True)
class Detection(Task):
    """Find objects: outputs are the maps of a detection head, targets boxes [B, 6].

    monitor: the metric that decides which epoch is the best, such as AP_S; fitness is computed as in the published
        training, 0.1 AP50 + 0.9 AP of an average precision that differs a little from COCO's, but from the detections
        that `evaluation` selects, while NMS has max_iou: 0.6 in the published training.
    augment: the augmentation of training images.
    anchors: whether the head's anchors are fitted to the training data.
    evaluation: how detections are judged.
    tiles: how images larger than a tile are cut, for training, evaluation and `spdbuild predict`.
    seeing: what `spdbuild predict` shows.
    tta: views of each image whose boxes are merged, in evaluation and by `spdbuild predict`.
    cache: where decoded images are kept. auto: in memory, each once it was decoded, as long as 30% of the free memory
        suffices; ram: all of them from the start; disk: in a file in the folder SPDBUILD_CACHE, for this run and the
        next; none: nowhere.
    """

    default_loss: ClassVar[str] = "detection"
    summed: ClassVar[bool] = True
    unused: ClassVar[dict[str, str]] = {
        "augment": "a detector's augmentation is the mapping task.augment",
        "preprocess": "a detector takes pixels from 0 to 1",
        "distill": "leave it out: a teacher is followed by its class scores, and a detector's maps hold more",
    }

    monitor: str = "fitness"
    augment: DetectionAugmentation = field(default_factory=DetectionAugmentation)
    anchors: FittingOptions = field(default_factory=FittingOptions)
    evaluation: JudgingOptions = field(default_factory=JudgingOptions)
    tiles: TileOptions = field(default_factory=TileOptions)
    seeing: SeeingOptions = field(default_factory=SeeingOptions, metadata=role(Role.RESUMED))
    tta: ViewOptions = field(default_factory=ViewOptions)
    cache: Cache = field(default="auto", metadata=role(Role.RESUMED))

    def __post_init__(self) -> None:
        kept, most = self.evaluation.nms.max_detections, self.evaluation.max_detections
        if self.tiles.size is None and most > kept:
            raise ArgumentError(
                f"{most} detections of an image cannot count if nms keeps {kept}",
                argument="evaluation.max_detections",
                hint="lower max_detections, or raise nms.max_detections",
            )
        if self.monitor not in self.metrics():
            message, hint = f"monitor: there is no metric '{self.monitor}'", nearest(self.monitor, self.metrics())
            raise ArgumentError(message, argument="monitor", hint=hint)

    @property
    def headline(self) -> tuple[str, ...]:
        return ("AP", "AP50", *(f"AP_{size.name}" for size in self.evaluation.bins))

    def splits(self, recipe: Recipe) -> tuple[str, ...]:
        return "train", "val", "test"

    def require(self, recipe: Recipe) -> None:
        """Refuse an input that is not a square of whole cells, where a network would report levels that do not meet."""
        # An input without pixels is refused for every network.
        if recipe.input is not None and min(recipe.input) > 0:
            long_side(recipe)

    def open(self, recipe: Recipe, split: str) -> DetectionImages:
        dataset = recipe.data.open(split)
        if not dataset.trainable.any():
            message = f"the split '{split}' has no object of any class in {len(dataset):,} images"
            raise DataError(message, hint=why_no_object(dataset.findings))
        if split == self.splits(recipe)[1]:
            self._require_monitored(dataset)
        return DetectionImages(dataset, long_side(recipe), self.tiles)

    def _require_monitored(self, dataset: DetectionSet) -> None:
        """Refuse evaluation images without an object of the size that decides which epoch is the best."""
        sizes = {size.name: size for size in self.evaluation.bins}
        size = sizes.get(self.monitor.partition("_")[2])
        if size is not None and not size.holds(dataset.objects.area[dataset.objects.counted]).any():
            message = f"no object to evaluate on is of the size {size.name}, and {self.monitor} says the best epoch"
            raise DataError(message, hint="task.monitor=AP, or sizes that objects have")

    def to_learn(self, images: DetectionImages) -> DetectionImages:
        return images.to_learn()

    def renumbered(self, images: DetectionImages, classes: tuple[str, ...]) -> DetectionImages | None:
        return images.renumbered(classes) if set(images.classes) <= set(classes) else None

    def remarks(self, images: DetectionImages, purpose: str) -> list[str]:
        found = summary({**count(images.dataset.findings), "box outside": len(reaching_out(images.dataset))})
        told = [f"of the data {purpose}: {found}"] if found else []
        paths = [image.path for image in images.dataset.images if image.path is not None]
        limited = limits_exceeded(images, self.evaluation) if purpose == "to evaluate on" else ()
        return told + pixel_remarks(paths, images.dataset.levels, purpose) + [f"warning: {line}" for line in limited]

    def settled(self, recipe: Recipe, model: nn.Module) -> tuple[str, ...]:
        """The anchors, where the recipe has its own: those of a file are for the boxes of other data."""
        if "anchors" not in recipe.vars:
            return ()
        head = head_of(model)
        return tuple(f"{name}.anchors" for name, module in model.named_modules() if module is head)

    def prepare(self, recipe: Recipe, model: nn.Module, images: DetectionImages) -> list[str]:
        if not self.anchors.check:
            return []
        loss, head = _loss(recipe), head_of(model)
        found = fit_anchors(
            head, images.dataset, images.long_side, loss.anchor_ratio, self.anchors.min_recall, recipe.seed
        )
        return describe_fit(found)

    def occurrences(self, images: DetectionImages) -> Occurrences:
        """By the objects that a network learns."""
        seen = images.seen
        pairs = np.column_stack((seen.image_index, seen.objects.classes))[seen.trainable]
        image, class_ = torch.from_numpy(np.unique(pairs, axis=0)).T
        return Occurrences(len(seen), image, class_)

    def batches(
        self, recipe: Recipe, images: DetectionImages, *, training: bool, rank: int, world: int, device: torch.device
    ) -> DetectionBatches:
        augment = self.augment if training else None
        return self._batches(recipe, images, augment, training=training, rank=rank, world=world, device=device)

    def calibration_batches(self, recipe: Recipe, images: DetectionImages, device: torch.device) -> DetectionBatches:
        """Shuffled full batches of letterboxed images."""
        return self._batches(replace(recipe, drop_last=True), images, None, training=True, device=device)

    def _batches(
        self,
        recipe: Recipe,
        images: DetectionImages,
        augment: DetectionAugmentation | None,
        *,
        training: bool,
        rank: int = 0,
        world: int = 1,
        device: torch.device,
    ) -> DetectionBatches:
        with recipe.about(arguments="task.augment"):
            try:
                loader = DetectionLoader(
                    images.seen,
                    recipe.batch if training else recipe.test_batch or recipe.batch,
                    images.long_side,
                    augment=augment,
                    shuffle=training,
                    weights=self.weights(recipe, images) if training else None,
                    seed=recipe.seed,
                    epochs=recipe.epochs,
                    rank=rank,
                    world=world,
                    workers=recipe.workers,
                    drop_last=training and recipe.drop_last,
                    rectangular=not training and self.evaluation.rectangular,
                    pad=self.evaluation.pad,
                    cache=self.cache,
                    cache_folder=cache_folder(),
                    pin_memory=device.type == "cuda",
                )
            except (DataError, DiskFullError) as error:
                # Images are read now only for a cache that is to have all of them.
                raise error.at(recipe.place("task.cache")) from None
        return DetectionBatches(loader, device, training=training, channels_last=recipe.channels_last)

    def criterion(self, recipe: Recipe, model: nn.Module, images: DetectionImages) -> DetectionCriterion:
        # A mistake in what is shown of the trained model would else be found only when it is used.
        with recipe.about("task.seeing.classes"):
            self._shown(tuple(images.classes))
        return DetectionCriterion(head_of(model), _loss(recipe), images.long_side)

    def meter(self, recipe: Recipe, model: nn.Module, images: DetectionImages, device: torch.device) -> Meter:
        meter = DetectionMeter(images, self.evaluation, self.tta.told)
        return TiledMeter(meter, images.tiles, self.evaluation.nms) if images.tiles else meter

    def in_use(self, model: nn.Module) -> Detector:
        return Detector(model, self.tta)

    def metrics(self) -> dict[str, Metric]:
        options = self.evaluation.evaluation()
        sizes = [f"{name}_{size.name}" for name in ("AP", "AR") for size in options.sizes]
        recalls = [f"AR{limit}" for limit in options.max_detections]
        own = ("fitness", "precision", "recall", "F1")
        return dict.fromkeys(("AP", "AP50", "AP75", *recalls, *sizes, *own), Metric("higher", share=True))

    def check_graph(self, graph: Graph) -> None:
        if not any(isinstance(node.op, Detect) for node in graph):
            message = "a detector has one detection head, and this network has none"
            raise RecipeError(message, hint="use a detector, such as architecture: yolov5 with variant: n")

    def check(self, outputs: Any, classes: tuple[str, ...]) -> None:
        check_maps(outputs, len(classes))

    def stages(
        self,
        recipe: Recipe,
        model: nn.Module,
        images: DetectionImages,
        batch: int,
        precision: str,
        device: torch.device,
    ) -> dict[str, float]:
        return measure_stages(self.in_use(model), images, batch, self.evaluation.nms, precision, device)

    def outputs(self, model: nn.Module) -> int:
        return head_of(model).classes

    def samples(self, recipe: Recipe, model: nn.Module, images: DetectionImages) -> Image.Image:
        seer = Seer(self.in_use(model), self._seeing, images.long_side, recipe.batch)
        return draw_samples(seer.see, images.dataset)

    @property
    def _seeing(self) -> SeeingOptions:
        """How pictures are looked at: like the images of an evaluation, unless `seeing` has tiles of its own."""
        if self.seeing.tile is not None or self.tiles.size is None:
            return self.seeing
        return replace(self.seeing, tile=self.tiles.size, overlap=self.tiles.overlap, whole=self.tiles.whole)

    def predict(
        self, recipe: Recipe, model: nn.Module, classes: tuple[str, ...], input: tuple[int, ...], sources: list[Source]
    ) -> Iterator[Prediction]:
        seer = Seer(self.in_use(model), self._seeing, max(input[1:]), recipe.test_batch or recipe.batch)
        shown, warned = self._shown(classes), False
        if any(video.is_film(path_of(source)) for source in sources):
            video.require()
        for source in sources:
            path = path_of(source)
            try:
                for frame, picture in _pictures(source, getattr(recipe.data, "levels", None)):
                    found = seer.see(picture)
                    if seer.limited and not warned:
                        _LOG.warning(_LIMITED, path, self.seeing.nms.max_detections)
                        warned = True
                    yield _prediction(path, frame, picture, found[torch.isin(found[:, 5], shown)], classes)
            except DataError as error:
                yield Prediction(path, (), problem=error.problems[0].message)

    def _shown(self, classes: tuple[str, ...]) -> Tensor:
        """The numbers of the classes whose boxes are shown; RecipeError for a name that is none of `classes`."""
        for name in self.seeing.classes:
            if name not in classes:
                raise RecipeError(f"the network has no class '{name}'", hint=nearest(name, classes))
        shown = self.seeing.classes or classes
        return torch.tensor([float(number) for number, name in enumerate(classes) if name in shown])


def _loss(recipe: Recipe) -> DetectionLossOptions:
    loss = recipe.loss_of()
    assert isinstance(loss, DetectionLossOptions)
    return loss


def long_side(recipe: Recipe) -> int:
    """Pixels of the longer side of an image: the side of the square that the network takes."""
    channels, height, width = recipe.input or declared_input(recipe)
    if channels == 3 and 0 < height == width and height % MULTIPLE == 0:
        return height
    side = max(round(max(height, width) / MULTIPLE), 1) * MULTIPLE
    if channels != 3:
        raise RecipeError(
            f"images always have three channels, and the input has {channels}",
            location=recipe.place("input", "architecture"),
            hint=f"input: [3, {side}, {side}]",
        )
    raise RecipeError(
        f"a detector is trained on squares whose side is a multiple of {MULTIPLE}, and its input is {width}x{height}",
        location=recipe.place("input", "architecture"),
        hint=f"input: [3, {side}, {side}]",
    )


def _pictures(source: Source, levels: Levels) -> Iterator[tuple[int | None, Tensor]]:
    """The picture of a file, uint8 [3, height, width], or those of a video with their numbers; may raise DataError."""
    if isinstance(source, Path) and video.is_film(source):
        yield from enumerate(video.read_frames(source))
    else:
        yield None, read_picture(source, levels)


def _prediction(file: Path, frame: int | None, picture: Tensor, found: Tensor, classes: tuple[str, ...]) -> Prediction:
    boxes = [
        {"class": classes[int(label)], "index": int(label), "score": score, "box": box}
        for *box, score, label in found.tolist()
    ]
    return Prediction(file, tuple(boxes), frame, picture.permute(1, 2, 0).contiguous().numpy())
