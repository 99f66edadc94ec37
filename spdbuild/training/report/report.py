"""The report of a run: curves, tables and a page that shows them all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from spdbuild.charts.lines import draw_chart
from spdbuild.charts.matrix import draw_matrix
from spdbuild.metrics import by_image
from spdbuild.training.folder.writing import save_text, save_whole
from spdbuild.training.report.page import SAMPLES, page
from spdbuild.training.report.run_charts import run_charts
from spdbuild.training.report.summary import summary_of
from spdbuild.training.task import Evaluation
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.training.folder.run_folder import RunFolder
    from spdbuild.training.running.session import Session


def write_report(session: Session, evaluation: Evaluation) -> None:
    """Write report/ of a run that has ended: PNGs, CSVs, summary.json, and index.html, which shows them."""
    folder = session.folder
    write_evaluation(folder.report, evaluation)
    model, images = session.learner.evaluated, session.data.test_images
    write_samples(folder.report, session.task.samples(session.recipe, model, images))
    summary_of(session, evaluation).write(folder.report)
    write_page(folder)


def write_page(folder: RunFolder, twins: Mapping[str, RunFolder] | None = None) -> None:
    """Write the charts over the epochs and index.html, beside what `write_report` wrote.

    twins: complete runs that it is compared with, by name; their lines are in the charts, too.
    """
    twins = twins or {}
    pictures = run_charts(folder.metrics(), {name: twin.metrics() for name, twin in twins.items()})
    for name, picture in pictures.items():
        write_picture(folder.report / f"{name}.png", draw_chart(picture.chart))
    others = sorted(path.stem for path in folder.report.glob("*.png") if path.stem not in pictures)
    save_text(folder.report / "index.html", page(folder, pictures, others, twins))


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write what an evaluation has of tables, confusion matrix, curves, the task's own files and by_image.npz."""
    if evaluation.rows:
        named = zip(evaluation.classes, evaluation.rows, strict=True)
        save_text(folder / "classes.csv", Table.of({"class": name, **row} for name, row in named).csv())
    if evaluation.confusion is not None:
        table = Table(("true class", *_output_names(evaluation)))
        for name, counts in zip(_outcomes(evaluation), evaluation.confusion.tolist(), strict=True):
            table.add(name, *map(str, counts))
        save_text(folder / "confusion.csv", table.csv())
    for name, picture in _evaluation_pictures(evaluation).items():
        write_picture(folder / f"{name}.png", picture)
    for name, text in evaluation.files.items():
        save_text(folder / name, text())
    if evaluation.by_image is not None:
        save_whole(folder / by_image.FILE, partial(by_image.save, found=evaluation.by_image, names=evaluation.images))


def write_samples(folder: Path, sheet: Image.Image | None) -> None:
    """Write the sheet of predictions that a task drew, if any, under the name that the page knows."""
    if sheet is not None:
        write_picture(folder / f"{SAMPLES}.png", sheet)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG atomically."""
    save_whole(path, lambda beside: picture.save(beside, "PNG"))


def _evaluation_pictures(evaluation: Evaluation) -> dict[str, Image.Image]:
    """The pictures of one evaluation, by name."""
    pictures = {name: draw_chart(chart) for name, chart in evaluation.charts.items()}
    if evaluation.confusion is not None:
        counts, rows, columns = evaluation.confusion.tolist(), _outcomes(evaluation), _output_names(evaluation)
        pictures["confusion"] = draw_matrix(
            "Confusion of the classes", counts, rows, columns, evaluation.confusion_note
        )
    return pictures


def _outcomes(evaluation: Evaluation) -> tuple[str, ...]:
    return evaluation.outcomes or evaluation.classes


def _output_names(evaluation: Evaluation) -> list[str]:
    assert evaluation.confusion is not None
    names = list(_outcomes(evaluation))
    return names + [f"output {i}" for i in range(len(names), evaluation.confusion.shape[1])]
