"""What a trained model is worth: metrics on a data set, and how quick it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spdbuild.errors import RecipeError
from spdbuild.files import refuse_file
from spdbuild.training.distributed import joined
from spdbuild.training.evaluating import evaluate_model
from spdbuild.training.image_size import check_input
from spdbuild.training.recipe.overrides import listed
from spdbuild.training.report import write_evaluation, write_samples
from spdbuild.training.speed import Speed, measure_speed
from spdbuild.training.stored_run import StoredModel, load_model, recipe_of
from spdbuild.training.task import Evaluation


@dataclass(frozen=True)
class Report:
    """The metrics, the costs and the speed of a model.

    stages: milliseconds an image of each stage from file to result, by size of the batch.
    """

    stored: StoredModel
    split: str
    images: int
    evaluation: Evaluation
    speed: Speed | None
    stages: dict[int, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild eval --json` prints."""
        evaluation = self.evaluation
        named = zip(evaluation.classes, evaluation.rows, strict=False)
        return {
            "weights": str(self.stored.weights),
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
    run_or_recipe: str | Path,
    overrides: str | Iterable[str] = (),
    *,
    weights: str | Path | None = None,
    split: str | None = None,
    speed: bool = True,
    output: str | Path | None = None,
    allow_imports: bool = False,
) -> Report:
    """Evaluate a run's folder, or a recipe with `weights`, on the images of its data set.

    split: of the data; the one that training evaluates on, unless it is given.
    speed: whether the model is timed as well, by the first process.
    output: folder for tables, pictures and the task's own files.
    allow_imports: whether Python files that its architecture names under `imports:` may run.

    Raises RecipeError, DataError and WeightsError for what cannot be evaluated.
    """
    output = None if output is None else Path(output)
    if output is not None:
        refuse_file(output)
    overrides = listed(overrides)
    recipe = recipe_of(run_or_recipe, overrides, allow_imports=allow_imports)
    task = recipe.task
    splits = task.splits(recipe)
    split = split or splits[1]
    if split not in splits:
        message = f"the data set '{recipe.data.name}' has no split '{split}'"
        raise RecipeError(message, hint=f"known: {', '.join(splits)}")
    with recipe.about("data.root", "data"):
        images = task.open(recipe, split)
    classes, size = tuple(images.classes), task.size(recipe, images)
    stored = load_model(run_or_recipe, weights, overrides, classes, size)
    recipe, device = stored.recipe, stored.device
    check_input(recipe, stored.input, size)
    with joined(device) as processes:
        batches = task.batches(
            recipe, images, training=False, rank=processes.rank, world=processes.world, device=device
        )
        meter = task.meter(recipe, stored.model, images, device)
        evaluation = evaluate_model(stored.model, batches, meter, stored.precision, device, processes)
        if output is not None and processes.first:
            write_evaluation(output, evaluation)
            write_samples(output, task.samples(recipe, stored.model, images))
    batch = recipe.test_batch or recipe.batch
    if not (speed and processes.first):
        return Report(stored, split, len(images), evaluation, None, {})
    timed = measure_speed(
        stored.model, stored.input, batch, stored.precision, device, channels_last=recipe.channels_last
    )
    sizes = dict.fromkeys((1, batch))
    stages = {n: task.stages(recipe, stored.model, images, n, stored.precision, device) for n in sizes}
    return Report(stored, split, len(images), evaluation, timed, {n: found for n, found in stages.items() if found})
