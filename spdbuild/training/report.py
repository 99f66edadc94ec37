"""The report of a run: curves, tables and a page that shows them all."""

from __future__ import annotations

import base64
import csv
import io
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from spdbuild.training.charts.lines import draw_chart
from spdbuild.training.charts.matrix import draw_matrix
from spdbuild.training.comparison import number_text
from spdbuild.training.files import write_text, write_whole
from spdbuild.training.run_charts import run_charts
from spdbuild.training.task import Evaluation

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe
    from spdbuild.training.run_folder import RunFolder

_STYLE = (
    "body{font:14px sans-serif;max-width:60em;margin:2em auto}"
    "td,th{padding:2px 10px;text-align:right}img{max-width:100%}"
)


def write_report(folder: RunFolder, recipe: Recipe, rows: list[dict[str, Any]], evaluation: Evaluation) -> None:
    """Everything below report/: PNGs, CSVs and index.html, which holds the pictures itself."""
    pictures = {name: draw_chart(picture.chart) for name, picture in run_charts(rows).items()}
    write_evaluation(folder.report, evaluation)
    for name, picture in pictures.items():
        write_picture(folder.report / f"{name}.png", picture)
    pictures |= _evaluation_pictures(evaluation)
    write_text(folder.report / "index.html", _page(recipe, evaluation, pictures))


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """classes.csv, confusion.csv, pictures of confusion and curves, and the task's own files: what there is of them."""
    if evaluation.rows:
        head = ["class", *evaluation.rows[0]]
        body = [[name, *row.values()] for name, row in zip(evaluation.classes, evaluation.rows, strict=True)]
        write_text(folder / "classes.csv", _csv([head, *body]))
    if evaluation.confusion is not None:
        counts = evaluation.confusion.tolist()
        columns = _output_names(evaluation)
        body = [[name, *row] for name, row in zip(_outcomes(evaluation), counts, strict=True)]
        write_text(folder / "confusion.csv", _csv([["true class", *columns], *body]))
    for name, picture in _evaluation_pictures(evaluation).items():
        write_picture(folder / f"{name}.png", picture)
    for name, text in evaluation.files.items():
        write_text(folder / name, text())


def write_picture(path: Path, picture: Image.Image) -> None:
    """A PNG, whole or not at all."""
    write_whole(path, lambda beside: picture.save(beside, "PNG"))


def _evaluation_pictures(evaluation: Evaluation) -> dict[str, Image.Image]:
    """What can be drawn of one evaluation, by name."""
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


def _csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _page(recipe: Recipe, evaluation: Evaluation, pictures: dict[str, Image.Image]) -> str:
    title = escape(recipe.title or "run")
    metrics = _html_table([["metric", "value"], *([n, number_text(v)] for n, v in _metrics(evaluation).items())])
    images = "".join(f'<h2>{escape(n)}</h2><img src="{_data_url(p)}" alt="{escape(n)}">' for n, p in pictures.items())
    head = ["class", *(evaluation.rows[0] if evaluation.rows else {})]
    body = [
        [name, *(number_text(value, ".4g") for value in row.values())]
        for name, row in zip(evaluation.classes, evaluation.rows, strict=False)
    ]
    classes = f"<h2>classes</h2>{_html_table([head, *body])}" if body else ""
    text = f"<h2>recipe</h2><pre>{escape(recipe.resolved())}</pre>"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{metrics}{images}{classes}{text}</html>\n"
    )


def _metrics(evaluation: Evaluation) -> dict[str, float | None]:
    return {**evaluation.scalars, **dict.fromkeys(evaluation.undefined)}


def _html_table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows[1:])
    return f"<table><tr>{head}</tr>{body}</table>"


def _data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
