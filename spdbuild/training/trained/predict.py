"""Predictions of a trained model for files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spdbuild.data.files.decoding import SUFFIXES
from spdbuild.data.files.listing import image_files
from spdbuild.data.files.pictures import Source, is_image, picture
from spdbuild.errors import ArgumentError, DataError, WeightsError
from spdbuild.system.files import is_same_file
from spdbuild.system.freed_memory import freed_memory_kept
from spdbuild.training.precision import autocast
from spdbuild.training.recipe.overrides import Overrides
from spdbuild.training.task import Prediction
from spdbuild.training.trained.stored_run import StoredModel, as_model
from spdbuild.weights.stored import Weights


def predict(
    model: str | Path | StoredModel,
    sources: Any,
    overrides: Overrides = (),
    *,
    top: int | None = None,
    weights: Weights | None = None,
    allow_imports: bool = False,
) -> Iterator[Prediction]:
    """The predictions for each image, in the order of `sources`.

    sources: paths, or images in memory, one or several: of Pillow, arrays uint8 [H, W, 3] or [H, W], tensors uint8
        [3, H, W] or [1, H, W]; grey ones may be uint16 or float32, and the run's data.levels are applied. An image in
        memory is called "image N" in its prediction, with its position N.
    model: the folder of a run, a recipe (with `weights`), or a model that `load_model` returned.
    top: how many of the most likely classes a classifier finds, from 1 to all of them; as its task says by default.
    weights: a file or a state_dict, in place of the run's best.
    A folder stands for the images in and below it, a pattern such as `photos/*.jpg` for the files that match it.
    allow_imports: whether Python files that its architecture names under `imports:` may run.

    Raises, with the first prediction, RecipeError, WeightsError, DataError for a missing source, and ArgumentError for
    an array that is no image, or a `top` that the model does not have; a file that cannot be read is reported as the
    `problem` of its prediction.
    """
    found = list(_sources(sources))
    stored = as_model(model, weights, overrides, allow_imports=allow_imports)
    classes = stored.classes or _classes(stored)
    if top is not None:
        _require_top(stored, top, len(classes))
    seen = iter(stored.recipe.task.predict(stored.recipe, stored.model, classes, stored.image, found))
    with freed_memory_kept():
        while True:
            # Between two predictions the caller computes in its own precision.
            with autocast(stored.precision, stored.device):
                prediction = next(seen, None)
            if prediction is None:
                return
            yield prediction if top is None else prediction.likeliest(top)


def _require_top(stored: StoredModel, top: int, classes: int) -> None:
    task = stored.recipe.task
    if not task.classifies:
        message = f"top is for classifiers, and {stored.weights_source} is for the task {task.name}"
        raise ArgumentError(message, argument="top", hint="leave top out")
    if not 1 <= top <= classes:
        message = f"top is {top}, and {stored.weights_source} has {classes:,} classes"
        raise ArgumentError(message, argument="top", hint=f"give a number from 1 to {classes}")


def _classes(stored: StoredModel) -> tuple[str, ...]:
    """Class names for weights that do not store them: those of the recipe's data if it is there, else numbers."""
    task = stored.recipe.task
    count = task.outputs(stored.model)
    try:
        names = tuple(task.open(stored.recipe, task.splits(stored.recipe)[1]).classes)
    except DataError:
        names = ()
    if count is not None and len(names) != count:
        return tuple(map(str, range(count)))
    if not names:
        raise WeightsError(
            f"{stored.weights_source}: the names of its classes are not known",
            hint="name the folder of a run, or a file of weights from one",
        )
    return names


def _sources(given: Any) -> Iterator[Source]:
    """Files of paths, and pictures of images; the two may come mixed."""
    several = (given,) if isinstance(given, str | Path) or is_image(given) else given
    for number, source in enumerate(several):
        if isinstance(source, str | Path):
            yield from source_files([source if isinstance(source, Path) else Path(source)])
        else:
            yield picture(source, f"image {number}")


def source_files(sources: Iterable[Path]) -> list[Path]:
    """The files among `sources`, the images in its folders, and what its patterns match; DataError if one has none."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = list(image_files(source))
            if not inside:
                raise DataError(f"{source} holds no image", hint=f"images end in {', '.join(sorted(SUFFIXES))}")
            found += inside
        elif source.is_file() or source.is_symlink():
            # A link that leads nowhere is the problem of its prediction, as it is in a folder.
            found.append(source)
        else:
            found += _matching(source)
    return found


def distinct(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The files, each once, and those that come several times. A link is another file than what it leads to."""
    known: dict[str, Path] = {}
    counts: Counter[Path] = Counter()
    for file in files:
        first = known.setdefault(os.path.normpath(file.absolute()), file)
        # Behind a link to a folder `..` may lead elsewhere.
        counts[first if first == file or is_same_file(first, file) else file] += 1
    return list(counts), [file for file, count in counts.items() if count > 1]


def source_roots(sources: Iterable[Path]) -> list[Path]:
    """The folders among `sources`, and those in which its patterns begin."""
    roots = []
    for source in sources:
        if source.is_dir():
            roots.append(source)
        elif _is_pattern(source) and not source.exists():
            roots.append(next(parent for parent in source.parents if not _is_pattern(parent)))
    return roots


def _is_pattern(path: Path) -> bool:
    return any(sign in str(path) for sign in "*?[")


def _matching(pattern: Path) -> list[Path]:
    if not _is_pattern(pattern):
        raise DataError(f"there is no file or folder {pattern}")
    start = Path(pattern.anchor)
    files = sorted(path for path in start.glob(str(pattern.relative_to(start))) if path.is_file())
    if not files:
        raise DataError(f"no file matches {pattern}")
    return files
