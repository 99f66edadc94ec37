"""report/index.html: a run on one page, with the runs that it is compared with."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from spdbuild.training.folder.environment import typed_commands
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.report.run_charts import SECTIONS, Picture
from spdbuild.training.report.summary import Summary
from spdbuild.training.result import number_text
from spdbuild.wording.html_page import html_page
from spdbuild.wording.tables import Table

#: Name of the picture with some of the model's predictions.
SAMPLES = "samples"

_STYLE = """
.facts td:first-child{color:#666;white-space:nowrap}
.scroll{max-height:32em;overflow:auto}pre{background:#f6f6f6;padding:1em;overflow:auto}
"""


def page(
    folder: RunFolder,
    pictures: Mapping[str, Picture],
    others: Collection[str] = (),
    twins: Mapping[str, RunFolder] | None = None,
) -> str:
    """The page as HTML. It reads the run's files, and shows the PNGs beside it.

    pictures: charts over epochs by name; others: names of further pictures. twins: complete runs, by name.
    """
    twins = twins or {}
    summary = Summary.read(folder.report)
    runs = {
        "this run" if twins else "value": summary,
        **{name: Summary.read(run.report) for name, run in twins.items()},
    }
    sections = {
        "Results": _results(runs) + _links(folder, twins),
        **{section: _grid(_titles(pictures, section)) for section in SECTIONS},
        "Evaluation": _grid({name: name.replace("_", " ") for name in others if name != SAMPLES}),
        "Samples": _picture(SAMPLES, "what the model finds in some images") if SAMPLES in others else "",
        "Classes": _classes(folder.report / "classes.csv"),
        "Recipe": f"<pre>{escape(folder.recipe.read_text(encoding='utf-8'))}</pre>",
    }
    body = "".join(f"<h2>{name}</h2>{text}\n" for name, text in sections.items() if text)
    return html_page(summary.title, f"{_facts(summary, folder)}\n{body}", _STYLE)


def _facts(summary: Summary, folder: RunFolder) -> str:
    """The facts about a run, a row each."""
    environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    cut = f" of {summary.planned_epochs}" if summary.epochs < summary.planned_epochs else ""
    facts = {
        "network": summary.architecture,
        "parameters": f"{summary.parameters:,}",
        "MACs of one image": f"{summary.macs_per_image:,}",
        "input": " x ".join(map(str, summary.input)),
        "device": ", ".join([summary.device, *dict.fromkeys(environment["gpus"])]),
        "precision": summary.precision,
        "epochs": f"{summary.epochs}{cut} ({summary.steps:,} steps)",
        "time": _duration(summary.seconds),
        "metrics are of": f"{summary.weights}: weights/last.safetensors",
        "best": _best(summary),
        "command": typed_commands(environment),
        "versions": ", ".join(f"{name} {version}" for name, version in environment["versions"].items()),
        "platform": environment["platform"],
    }
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(fact)}</td></tr>" for name, fact in facts.items())
    return f'<table class="facts">{rows}</table>'


def _best(summary: Summary) -> str:
    if summary.best is None:
        return f"none, for {summary.monitor} never was a number"
    return f"{summary.monitor} {summary.best:.4f} in epoch {summary.best_epoch}: weights/best.safetensors"


def _results(runs: Mapping[str, Summary]) -> str:
    """Metrics and counts with a column per run, and the costs if there are several runs."""
    metrics = dict.fromkeys(name for run in runs.values() for name in run.metrics)
    counts = dict.fromkeys(name for run in runs.values() for name in run.counts)
    table = Table(("metric", *runs), tuple(runs))
    for name in metrics:
        table.add(name, *(number_text(run.metrics.get(name)) for run in runs.values()))
    for name in counts:
        table.add(name, *(number_text(run.counts.get(name)) for run in runs.values()))
    if len(runs) > 1:
        table.add("parameters", *(number_text(run.parameters) for run in runs.values()))
        table.add("MACs of one image", *(number_text(run.macs_per_image) for run in runs.values()))
        table.add("time", *(_duration(run.seconds) for run in runs.values()))
    return table.html()


def _links(folder: RunFolder, twins: Mapping[str, RunFolder]) -> str:
    links = [
        f'<a href="../{quote(twin.report.relative_to(folder.path).as_posix())}/index.html">{escape(name)}</a>'
        for name, twin in twins.items()
    ]
    return f"<p>Reports of the other runs, whose lines are dashed below: {', '.join(links)}</p>" if links else ""


def _titles(pictures: Mapping[str, Picture], section: str) -> dict[str, str]:
    return {name: picture.chart.title for name, picture in pictures.items() if picture.section == section}


def _grid(titles: Mapping[str, str]) -> str:
    """Pictures side by side. titles: what each shows, by name."""
    images = "".join(_picture(name, title) for name, title in titles.items())
    return f'<div class="grid">{images}</div>' if images else ""


def _picture(name: str, title: str) -> str:
    return f'<a href="{quote(name)}.png"><img src="{quote(name)}.png" alt="{escape(title)}"></a>'


def _classes(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", newline="") as file:
        head, *body = csv.reader(file)
    table = Table(head, head[1:])
    for name, *row in body:
        table.add(name, *(number_text(_number(text)) for text in row))
    return f'<div class="scroll">{table.html()}</div>'


def _number(text: str) -> float | None:
    return None if not text else int(text) if text.isdigit() else float(text)


def _duration(seconds: float) -> str:
    """A time in hours, minutes and seconds; less than a minute has one decimal."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(round(seconds) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {round(seconds) % 60} s"
