"""What a trained model sees in files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from spdbuild.data.decoding import SUFFIXES
from spdbuild.errors import DataError, WeightsError
from spdbuild.training.precision import autocast
from spdbuild.training.stored_run import load_model
from spdbuild.training.task import Prediction


def predict(
    run_or_recipe: str | Path,
    sources: Iterable[Path],
    overrides: Iterable[str] = (),
    *,
    weights: Path | None = None,
) -> Iterator[Prediction]:
    """What is seen in each file, in the order of `sources`; a folder stands for the images in it and below it."""
    files = image_files(sources)
    stored = load_model(run_or_recipe, weights, overrides)
    if not stored.classes:
        raise WeightsError(
            f"{stored.weights}: the file does not say the names of its classes",
            hint="name the folder of a run, or a file of weights from one",
        )
    task = stored.recipe.task
    with autocast(stored.precision, stored.device):
        yield from task.predict(stored.recipe, stored.model, stored.classes, stored.input, files)


def image_files(sources: Iterable[Path]) -> list[Path]:
    """The files among `sources` and the images in its folders; raises DataError if there is none."""
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise DataError(f"{source} holds no image", hint=f"images end in {', '.join(sorted(SUFFIXES))}")
            found += inside
        elif source.is_file():
            found.append(source)
        else:
            raise DataError(f"there is no file or folder {source}")
    return found
