"""The report of a run, read from its files."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.report.report import write_page
from spdbuild.training.report.summary import Summary
from spdbuild.training.running.run import train


class _Page(HTMLParser):
    """What a page shows: rows of texts, headings, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.headings: list[str] = []
        self.links: list[str] = []
        self.texts: dict[str | None, str | None] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        if tag == "tr":
            self.rows.append([])
        if tag == "img":
            self.texts[dict(attrs)["src"]] = dict(attrs)["alt"]
        self.links += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        if self._open in ("td", "th"):
            self.rows[-1].append(data)
        elif self._open == "h2":
            self.headings.append(data)
        self._open = ""


@pytest.fixture
def folder(recipe: Path, tmp_path: Path) -> RunFolder:
    return RunFolder(train(recipe, ["epochs=2", "title='<small>'"], runs=tmp_path, quiet=True).folder)


def read(folder: RunFolder) -> _Page:
    return _Page((folder.report / "index.html").read_text())


def test_the_page_shows_what_the_run_was_and_what_came_of_it(folder: RunFolder) -> None:
    page, summary = read(folder), Summary.read(folder.report)
    rows = {row[0]: row[1:] for row in page.rows}
    last = json.loads((folder.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert rows["parameters"] == [f"{summary.parameters:,}"]
    assert rows["top1"] == [f"{last['test/top1']:.4f}"]
    assert rows["epochs"] == [f"2 ({last['step']} steps)"]
    assert rows["device"] == ["cpu"] or rows["device"][0].startswith("cpu, ")
    assert rows["best"][0].startswith("top1 ")
    assert {"command", "versions", "time", "input", "MACs of one image", "precision"} <= set(rows)
    assert page.headings == [
        "Results",
        "Losses",
        "Metrics",
        "Speed and learning rate",
        "Evaluation",
        "Samples",
        "Classes",
        "Recipe",
    ]


def test_some_images_are_shown_with_what_the_network_takes_them_for(folder: RunFolder) -> None:
    page = read(folder)
    assert page.headings.index("Samples") == page.headings.index("Evaluation") + 1
    assert page.links.count("samples.png") == 2
    with Image.open(folder.report / "samples.png") as sheet:
        assert sheet.width == 8 * (128 + 4) + 4


def test_every_file_that_the_page_refers_to_is_there(folder: RunFolder) -> None:
    links = read(folder).links
    assert {"loss.png", "top1.png", "confusion.png"} <= set(links)
    assert all((folder.report / link).is_file() for link in links)


def test_the_table_of_the_classes_is_that_of_the_file(folder: RunFolder) -> None:
    with (folder.report / "classes.csv").open() as file:
        head, *body = csv.reader(file)
    page = read(folder)
    start = page.rows.index(head)
    shown = page.rows[start + 1 : start + 1 + len(body)]
    assert [row[:2] for row in shown] == [row[:2] for row in body]
    assert [row[2] for row in shown] == [f"{float(row[2]):.4f}" for row in body]


def test_every_image_is_told_with_what_it_was_taken_for(folder: RunFolder) -> None:
    with (folder.report / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["image"]) for row in rows) == list(range(360))
    right = sum(row["class"] == row["predicted"] for row in rows)
    with (folder.report / "confusion.csv").open() as file:
        _, *counts = csv.reader(file)
    assert right == sum(int(row[1 + number]) for number, row in enumerate(counts))
    losses = [float(row["loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)


def test_images_from_files_are_told_by_their_files(tmp_path: Path, recipe: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("train/a/1", "train/b/2", "test/a/x, y", "test/b/z"):
        path = tmp_path / "data" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8)).save(path)
    named = []
    for memory in (0, 1):
        changes = [f"data={{name: folder, root: {tmp_path / 'data'}, memory_gib: {memory}}}", "epochs=1", "~augment"]
        report = train(recipe, changes, runs=tmp_path, quiet=True).folder / "report"
        with (report / "images.csv").open() as file:
            named.append({row["image"]: row["class"] for row in csv.DictReader(file)})
    files = tmp_path / "data" / "test"
    assert named == 2 * [{str(files / "a" / "x, y.png"): "a", str(files / "b" / "z.png"): "b"}]


def test_names_cannot_become_tags(folder: RunFolder) -> None:
    assert "<h1>&lt;small&gt;</h1>" in (folder.report / "index.html").read_text()


def test_twins_have_columns_and_links_and_lines(folder: RunFolder, recipe: Path) -> None:
    alone = (folder.report / "loss.png").read_bytes()
    twin = RunFolder(train(recipe, ["epochs=1", "title=twin"], runs=folder.path, quiet=True).folder)
    write_page(folder, {"twin": twin})
    page = read(folder)
    assert ["metric", "this run", "twin"] in page.rows
    (loss,) = (row for row in page.rows if row[0] == "loss")
    assert loss[2] == f"{Summary.read(twin.report).metrics['loss']:.4f}"
    assert (folder.report / "loss.png").read_bytes() != alone
    assert "../twin/report/index.html" in page.links
    assert all((folder.report / link).is_file() for link in page.links)


def test_links_lead_to_twins_of_any_name(folder: RunFolder, recipe: Path) -> None:
    twin = RunFolder(train(recipe, ["epochs=1", "title='50% #1? \"a\"'"], runs=folder.path, quiet=True).folder)
    write_page(folder, {"twin": twin})
    (link,) = (link for link in read(folder).links if link.endswith(".html"))
    assert (folder.report / unquote(urlsplit(link).path)).resolve() == (twin.report / "index.html").resolve()


def test_pictures_say_what_they_show(folder: RunFolder) -> None:
    texts = read(folder).texts
    assert texts["top1.png"] == "Top-1 accuracy"
    assert texts["learning_rate.png"] == "Learning rate at the end of the epoch"
    assert texts["samples.png"] == "what the model finds in some images"


def test_a_run_without_a_best_epoch_says_so(folder: RunFolder) -> None:
    replace(Summary.read(folder.report), best=None, best_epoch=0).write(folder.report)
    write_page(folder)
    assert ["best", "none, for top1 never was a number"] in read(folder).rows


@pytest.mark.parametrize("best", ["-Infinity", "null"], ids=["before", "now"])
def test_a_summary_without_a_best_is_read(folder: RunFolder, best: str) -> None:
    file = folder.report / "summary.json"
    summary = Summary.read(folder.report)
    file.write_text(file.read_text().replace(f'"best": {summary.best}', f'"best": {best}'))
    assert Summary.read(folder.report) == replace(summary, best=None)


def test_a_summary_is_read_as_it_was_written(folder: RunFolder, tmp_path: Path) -> None:
    summary = Summary.read(folder.report)
    summary.write(tmp_path)
    assert Summary.read(tmp_path) == summary
    assert re.fullmatch(r"the last ones \(step \d+\).*", summary.weights)
