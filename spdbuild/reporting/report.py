"""Runs that have ended, gathered from their folders: groups over seeds, paired differences, costs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from spdbuild.console import Console
from spdbuild.errors import ArgumentError, InputError, SpdbuildError, UnknownNameError, nearest
from spdbuild.reporting import parts
from spdbuild.reporting.by_class import Classes
from spdbuild.reporting.by_class import by_class as classes_of
from spdbuild.reporting.comparisons import Comparison, check_reference, compare
from spdbuild.reporting.csv import by_class_csv, curves_csv, differences_csv, runs_csv
from spdbuild.reporting.curves import curves
from spdbuild.reporting.document import section_document
from spdbuild.reporting.finding import LeftOut, find_runs
from spdbuild.reporting.folder import (
    CLASSES_TABLE,
    CURVES_TABLE,
    DIFFERENCES_TABLE,
    LATEX,
    MARKDOWN,
    PAGE,
    TABLE,
    check_folder,
    write_files,
)
from spdbuild.reporting.groups import Section, make_sections
from spdbuild.reporting.holm import corrected
from spdbuild.reporting.html import html
from spdbuild.reporting.latex import latex
from spdbuild.reporting.markdown import markdown
from spdbuild.reporting.notes import (
    BY_CLASS,
    DIFFERENCES,
    EVALUATIONS,
    FOLDS,
    HOLM,
    READING,
    TIMINGS,
    notes,
    over_images,
)
from spdbuild.reporting.parts import Part
from spdbuild.reporting.resampling import LEAST, Drawn, read_drawn, resampled
from spdbuild.reporting.run import Run, read_run
from spdbuild.text.together import pattern_of
from spdbuild.wording.phrases import number


@dataclass(frozen=True)
class Report:
    """A joint report on runs.

    sections: runs that were measured alike. left_out: folders that are not part of the report.
    comparisons: of the groups of each section; classes: its metrics by class, if they were wanted.
    metrics: those that tables show; empty: a selection. against: the group that all others are compared with, if there
    is one. resamples: number of resamples of the images, for differences; together: pattern of the names of images that
    were drawn as one.
    """

    sections: tuple[Section, ...]
    comparisons: tuple[tuple[Comparison, ...], ...]
    classes: tuple[Classes, ...]
    left_out: tuple[LeftOut, ...]
    metrics: tuple[str, ...] = ()
    against: str | None = None
    resamples: int = 0
    together: str | None = None

    def __repr__(self) -> str:
        titles = ", ".join(f"{section.title}: {number(len(section.runs), 'run')}" for section in self.sections)
        return f"Report({titles}; {len(self.left_out)} left out)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the tables of each section, under its title."""
        told = self._section_parts(each_run=False)
        return "".join(f"<h4>{escape(part.title)}</h4>\n{''.join(t.html() for t in part.tables)}" for part in told)

    @property
    def parts(self) -> list[Part]:
        """What is printed: the tables of each section with notes on it, and how to read them."""
        own, others = (any((section.evaluated is None) == ran for section in self.sections) for ran in (True, False))
        reading = [*([READING] if own else []), *([EVALUATIONS] if others else [])]
        if any(self.comparisons):
            reading.append(DIFFERENCES)
        elif self.resamples:
            reading.append("Nothing is compared, so nothing is resampled.")
        groups = [group for section in self.sections for group in section.groups]
        differences = [entry for pairs in self.comparisons for pair in pairs for entry in pair.differences]
        reading += [FOLDS] if any(group.folds for group in groups) else []
        reading += [HOLM] if any(entry.p_holm is not None or entry.exact_holm for entry in differences) else []
        reading += [TIMINGS] if any(group.timings for group in groups) else []
        if any(row.differences for found in self.classes for one in found.tables for row in one.rows):
            reading.append(BY_CLASS)
        if any(pair.carriers for pairs in self.comparisons for pair in pairs):
            both = any(entry.over_both for entry in differences)
            reading.append(over_images(self.resamples, self.together, both=both))
        return [*self._section_parts(), Part("How to read this", tuple(reading))]

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild report --json` prints, with all metrics."""
        told = zip(self.sections, self.comparisons, self.classes, strict=True)
        sections = [section_document(*one, self._notes(*one)) for one in told]
        left_out = [{"folder": str(entry.folder), "why": entry.why} for entry in self.left_out]
        drawn = {"resamples": self.resamples, "together": self.together}
        return {"sections": sections, "left_out": left_out, **drawn}

    def write(self, folder: Path) -> None:
        """report.md, report.tex, index.html and the CSV tables: all of them or none.

        Raises InputError and DiskFullError.
        """
        title = f"{sum(len(section.runs) for section in self.sections)} runs of spdbuild"
        told = [*self.parts, *self._origins()]
        charts = [tuple(curves(section, section.shown(self.metrics))) for section in self.sections]
        # The sections come first, in their order.
        drawn = [replace(part, charts=own) for part, own in zip(told, charts, strict=False)]
        page = html(title, [*drawn, *told[len(drawn) :]])
        texts = {MARKDOWN: markdown(title, told), LATEX: latex(title, self._section_parts(each_run=False)), PAGE: page}
        tables = {TABLE: runs_csv(self.sections), CURVES_TABLE: curves_csv(self.sections)}
        tables |= {DIFFERENCES_TABLE: differences_csv(self.sections, self.comparisons)}
        tables |= (
            {CLASSES_TABLE: by_class_csv(self.sections, self.classes)}
            if any(one.tables for one in self.classes)
            else {}
        )
        write_files(folder, {**texts, **tables})

    def _section_parts(self, *, each_run: bool = True) -> list[Part]:
        """A part for each section. each_run: with a table of the runs one by one."""
        told = zip(self.sections, self.comparisons, self.classes, strict=True)
        return [self._part(*one, each_run) for one in told]

    def _part(self, section: Section, pairs: Sequence[Comparison], classes: Classes, each_run: bool) -> Part:
        shown = section.shown(self.metrics)
        tables = [parts.groups_table(section, shown)]
        tables += [parts.differences_table(pairs, shown), parts.costs_table(pairs)] if pairs else []
        tables += [parts.timings_table(section)]
        tables += [table for found in classes.tables for table in parts.class_tables(found)]
        tables += [parts.runs_table(section, shown)] if each_run else []
        told = self._notes(section, pairs, classes)
        return Part(section.title, tuple(told), tuple(table for table in tables if table.rows))

    def _origins(self) -> list[Part]:
        made = Part("How the runs were made", tables=(parts.made_table(self.sections),))
        return [made, *([Part("Left out", tuple(map(str, self.left_out)))] if self.left_out else [])]

    def _notes(self, section: Section, pairs: Sequence[Comparison], classes: Classes) -> list[str]:
        others = [other for other in self.sections if other is not section]
        shown = section.shown(self.metrics)
        return [*notes(section, others, pairs, shown, self.against), *classes.lacking]


def report(
    *runs: str | Path,
    metrics: Iterable[str] = (),
    against: str | None = None,
    by_class: Iterable[str] = (),
    output: str | Path | None = None,
    resamples: int = 0,
    together: str | None = None,
    quiet: bool = False,
) -> Report:
    """Report on the runs in or below folders: grouped by recipe over seeds, with paired differences and costs.

    runs: folders of runs, which include their twins, of evaluations, or folders that hold such. metrics: those that the
    tables show. against: name of the group that all others are compared with. by_class: columns of classes.csv to show
    for each class. output: folder for report.md, report.tex, CSV tables and index.html. resamples: number of resamples
    of the test images, for the intervals of differences over them; 0: none. together: a regular expression; images in
    whose names it matches the same text are drawn together. quiet: show no progress.
    torch is not imported. Raises InputError if there is nothing to report, UnknownNameError for a metric or a group
    that no run has, ArgumentError for too few resamples and for an invalid regular expression.
    """
    if resamples and resamples < LEAST:
        message = f"{resamples} resamples tell too little"
        raise ArgumentError(message, argument="resamples", hint=f"at least {LEAST}; 200 suffice")
    pattern = pattern_of(together)
    wanted, by_class = tuple(metrics), tuple(by_class)
    if output is not None:
        check_folder(Path(output))
    found, left_out = find_runs(map(Path, runs))
    ended = _read(found, left_out)
    sections, repeated = make_sections(ended)
    if not sections:
        hint = "name folders of runs that have ended, such as runs/quickstart"
        raise InputError("there is no run to report", hint=hint, trail=tuple(map(str, left_out)))
    _check_metrics(sections, wanted)
    check_reference(sections, against)
    compared = [compare(section, against) for section in sections]
    classes = classes_of(sections, compared, by_class) if by_class else [Classes()] * len(sections)
    if resamples:
        compared = _resampled(compared, resamples, pattern, Console(quiet))
    pairs = tuple(tuple(corrected(of_section)) for of_section in compared)
    given = wanted, against, resamples, together
    made = Report(tuple(sections), pairs, tuple(classes), (*left_out, *repeated), *given)
    if output is not None:
        made.write(Path(output))
    return made


def _resampled(
    compared: list[list[Comparison]], resamples: int, together: re.Pattern[str] | None, console: Console
) -> list[list[Comparison]]:
    found = [[read_drawn(comparison, together) for comparison in of_section] for of_section in compared]
    possible = sum(isinstance(drawn, Drawn) for of_section in found for drawn in of_section)
    with console.bar("resamples of the images", resamples * possible, of="") as bar:

        def made(comparison: Comparison, drawn: Drawn | tuple[str, ...]) -> Comparison:
            if isinstance(drawn, tuple):
                return replace(comparison, unresampled=drawn)
            return resampled(comparison, drawn, resamples, lambda: bar.advance(1, "" if bar.due else None))

        return [list(map(made, *of_section)) for of_section in zip(compared, found, strict=True)]


def _read(folders: Iterable[Path], left_out: list[LeftOut]) -> list[Run]:
    """The runs that can be reported; the others are added to `left_out`."""
    found = []
    for folder in folders:
        try:
            run = read_run(folder)
        except SpdbuildError as error:
            problem = error.problems[0]
            place = f"{problem.location}: " if problem.location else ""
            left_out.append(LeftOut(folder, place + problem.message))
        else:
            found.append(run)
            left_out += _missing_twins(run)
    return found


def _missing_twins(run: Run) -> list[LeftOut]:
    """The twins that a run's recipe asks for and that have not begun."""
    why = f"it has not begun; go on with `spdbuild train --resume {shlex.quote(str(run.folder))}`"
    twins = [run.folder / name for name in (() if run.evaluated else run.recipe["compare"])]
    return [LeftOut(twin, why) for twin in twins if not twin.is_dir()]


def _check_metrics(sections: Iterable[Section], wanted: Iterable[str]) -> None:
    known = list(dict.fromkeys(name for section in sections for name in section.metrics))
    for name in wanted:
        if name not in known:
            raise UnknownNameError(f"no run has a metric '{name}'", hint=nearest(name, known))
