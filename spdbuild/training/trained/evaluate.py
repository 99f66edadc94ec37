"""Evaluation of a trained model: metrics on a data set, and speed."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spdbuild.errors import ArgumentError, RecipeError
from spdbuild.metrics import probabilities as probability_table
from spdbuild.metrics.probabilities import Probabilities
from spdbuild.system.files import require_writable
from spdbuild.system.freed_memory import freed_memory_kept
from spdbuild.training.device import current
from spdbuild.training.evaluation_loop import evaluate_model
from spdbuild.training.folder.writing import save_whole
from spdbuild.training.network.network import check_input
from spdbuild.training.processes.distributed import Processes, is_first, joined
from spdbuild.training.recipe import Recipe
from spdbuild.training.recipe.overrides import Overrides
from spdbuild.training.report.evaluation_file import FILE, add_speed, write_evaluation_file
from spdbuild.training.report.report import write_evaluation, write_samples
from spdbuild.training.result import number_text
from spdbuild.training.run_data import described_images
from spdbuild.training.task import Evaluation
from spdbuild.training.trained.speed import Speed, measure_speed
from spdbuild.training.trained.stored_run import StoredModel, check_classes, load_model, recipe_of, require_unchanged
from spdbuild.weights.stored import Weights
from spdbuild.wording.tables import Table


@dataclass(frozen=True)
class EvaluationReport:
    """The metrics, the costs and the speed of a model.

    stages: milliseconds per image of each stage from file to result, by batch size.
    """

    stored: StoredModel
    split: str
    images: int
    evaluation: Evaluation
    speed: Speed | None
    stages: dict[int, dict[str, float]]

    def __repr__(self) -> str:
        found = self.evaluation.metrics
        metrics = ", ".join(f"{name}={number_text(found.get(name))}" for name in self.stored.recipe.task.shown or found)
        return f"EvaluationReport({self.stored.weights_source} on {self.images} images of {self.split}: {metrics})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the metrics, and those of each class."""
        evaluation = self.evaluation
        table = Table(("metric", "value"), ("value",))
        for name, value in evaluation.metrics.items():
            table.add(name, number_text(value))
        rows = [{name: number_text(value) for name, value in row.items()} for row in evaluation.rows]
        named = zip(evaluation.classes, rows, strict=False)
        classes = Table.of(({"class": name, **row} for name, row in named), ("class",))
        return table.html() + (classes.html() if rows else "")

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild eval --json` prints."""
        evaluation = self.evaluation
        named = zip(evaluation.classes, evaluation.rows, strict=False)
        return {
            "weights": self.stored.weights_source,
            "taken_from": self.stored.taken_from,
            "split": self.split,
            "images": self.images,
            "metrics": evaluation.metrics,
            "counts": evaluation.counts,
            "classes": [{"class": name, **row} for name, row in named],
            "confusion": None if evaluation.confusion is None else evaluation.confusion.tolist(),
            "params": self.stored.parameters,
            "macs": self.stored.macs,
            "device": str(self.stored.device),
            "precision": self.stored.precision,
            "speed": asdict(self.speed) if self.speed else None,
            "stages": self.stages,
        }


def evaluate(
    model: str | Path | StoredModel,
    overrides: Overrides = (),
    *,
    weights: Weights | None = None,
    split: str | None = None,
    speed: bool = True,
    output: str | Path | None = None,
    probabilities: bool = False,
    allow_imports: bool = False,
) -> EvaluationReport:
    """Evaluate a trained model on the images of its data set.

    model: the folder of a run, a recipe (with `weights`), or a model that `load_model` returned.
    weights: a file or a state_dict, in place of the run's best.
    The data may have only some of the model's classes, in any order: they are matched by name.
    split: of the data; by default the one that training evaluates on.
    speed: whether the first process also times the model.
    output: folder for tables, pictures, the task's own files and, of a run, what `report` reads.
    probabilities: whether a classifier's evaluation has those of all classes for every image, float32 [N, K] in memory;
        with `output` they are also written.
    allow_imports: whether Python files that its architecture names under `imports:` may run.

    Raises RecipeError, DataError and WeightsError for what cannot be evaluated, and ArgumentError for probabilities of
    another task.
    """
    output = None if output is None else Path(output)
    if output is not None and is_first():
        require_writable(output)
    recipe = _recipe(model, weights, overrides, allow_imports)
    if probabilities and not recipe.task.classifies:
        message = f"probabilities are given by classifiers, and the task is {recipe.task.name}"
        raise ArgumentError(message, argument="probabilities", hint="leave probabilities out")
    split, images = _images(recipe, split)
    # Before the images are renumbered, and only where it is written, for a digest reads files.
    described = described_images(images) if output is not None and is_first() else {}
    classes, size = tuple(images.classes), recipe.task.size(recipe, images)
    stored = model if isinstance(model, StoredModel) else load_model(model, weights, overrides, classes, size)
    if stored.classes and stored.classes != classes:
        renumbered = recipe.task.renumbered(images, stored.classes)
        if renumbered is None:
            check_classes(stored.weights_source, stored.classes, classes)
        images = renumbered
    check_input(stored.recipe, stored.input, size)
    with current(stored.device), freed_memory_kept():
        with joined(stored.device) as processes:
            evaluation = _evaluation(stored, images, processes, output, probabilities)
            if output is not None and processes.first:
                write_evaluation_file(output, stored, split, described, evaluation)
        if not (speed and processes.first):
            return EvaluationReport(stored, split, len(images), evaluation, None, {})
        timed, stages = _speeds(stored, images)
        if output is not None:
            add_speed(output, timed)
        return EvaluationReport(stored, split, len(images), evaluation, timed, stages)


def _recipe(
    model: str | Path | StoredModel,
    weights: Weights | None,
    overrides: Overrides,
    allow_imports: bool,
) -> Recipe:
    if isinstance(model, StoredModel):
        require_unchanged(weights, overrides)
        return model.recipe
    return recipe_of(model, overrides, allow_imports=allow_imports)


def _images(recipe: Recipe, split: str | None) -> tuple[str, Any]:
    """The split that is evaluated, and its images."""
    task = recipe.task
    splits = task.splits(recipe)
    split = split or splits[1]
    if split not in splits:
        message = f"the data set '{recipe.data.name}' has no split '{split}'"
        raise RecipeError(message, hint=f"known: {', '.join(splits)}")
    with recipe.about("data.root", "data", arguments="data"):
        return split, task.open(recipe, split)


def _evaluation(
    stored: StoredModel, images: Any, processes: Processes, output: Path | None, probabilities: bool
) -> Evaluation:
    recipe, task, device = stored.recipe, stored.recipe.task, stored.device
    batches = task.batches(recipe, images, training=False, rank=processes.rank, world=processes.world, device=device)
    metered = task.probabilities_meter if probabilities else task.meter
    meter = metered(recipe, stored.model, images, device)
    evaluation = evaluate_model(task.in_use(stored.model), batches, meter, stored.precision, device, processes)
    if output is not None and processes.first:
        # What an earlier evaluation left does not belong to these results, should their writing be cut off.
        (output / FILE).unlink(missing_ok=True)
        write_evaluation(output, evaluation)
        write_samples(output, task.samples(recipe, stored.model, images))
        if evaluation.probabilities is not None:
            save_whole(output / probability_table.FILE, partial(_write_table, evaluation.probabilities))
    return evaluation


def _write_table(probabilities: Probabilities, path: Path) -> None:
    """Write a table row by row, whose text would take several times the memory of its numbers."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(probabilities.rows())


def _speeds(stored: StoredModel, images: Any) -> tuple[Speed, dict[int, dict[str, float]]]:
    """The speed of the model without reading and NMS, and the times of the stages from file to result by batch size."""
    recipe, device, precision = stored.recipe, stored.device, stored.precision
    batch = recipe.test_batch or recipe.batch
    model = recipe.task.in_use(stored.model)
    timed = measure_speed(model, stored.input, batch, precision, device, channels_last=recipe.channels_last)
    sizes = dict.fromkeys((1, batch))
    stages = {n: recipe.task.stages(recipe, stored.model, images, n, precision, device) for n in sizes}
    return timed, {n: found for n, found in stages.items() if found}
