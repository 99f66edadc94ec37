"""Runs that have ended, gathered from their folders: groups over seeds, paired differences, costs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spdbuild.console import Console
from spdbuild.errors import ArgumentError, InputError, SpdbuildError, UnknownNameError, nearest
from spdbuild.reporting import parts
from spdbuild.reporting.comparisons import Comparison, check_reference, compare
from spdbuild.reporting.curves import curves
from spdbuild.reporting.document import section_document
from spdbuild.reporting.files import differences_csv, markdown, runs_csv
from spdbuild.reporting.finding import LeftOut, find_runs
from spdbuild.reporting.folder import DIFFERENCES_TABLE, MARKDOWN, PAGE, TABLE, check_folder, write_files
from spdbuild.reporting.groups import Section, make_sections
from spdbuild.reporting.html import html
from spdbuild.reporting.notes import DIFFERENCES, READING, notes, over_images
from spdbuild.reporting.parts import Part
from spdbuild.reporting.resampling import LEAST, Drawn, pattern_of, read_drawn, resampled
from spdbuild.reporting.run import Run, read_run


@dataclass(frozen=True)
class Report:
    """A joint report on runs.

    sections: runs that were measured alike. left_out: folders that are not part of the report.
    comparisons: of the groups of each section. metrics: those that tables show; empty: a selection.
    against: the group that all others are compared with, if there is one. resamples: number of resamples of the images,
    for differences; together: pattern of the names of images that were drawn as one.
    """

    sections: tuple[Section, ...]
    comparisons: tuple[tuple[Comparison, ...], ...]
    left_out: tuple[LeftOut, ...]
    metrics: tuple[str, ...] = ()
    against: str | None = None
    resamples: int = 0
    together: str | None = None

    @property
    def parts(self) -> list[Part]:
        """What is printed: the tables of each section with notes on it, and how to read them."""
        reading = [READING]
        if any(self.comparisons):
            reading.append(DIFFERENCES)
        elif self.resamples:
            reading.append("Nothing is compared, so nothing is resampled.")
        if any(pair.carriers for pairs in self.comparisons for pair in pairs):
            reading.append(over_images(self.resamples, self.together))
        return [*map(self._part, self.sections, self.comparisons), Part("How to read this", tuple(reading))]

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild report --json` prints, with all metrics."""
        told = zip(self.sections, self.comparisons, strict=True)
        sections = [section_document(section, pairs, self._notes(section, pairs)) for section, pairs in told]
        left_out = [{"folder": str(entry.folder), "why": entry.why} for entry in self.left_out]
        drawn = {"resamples": self.resamples, "together": self.together}
        return {"sections": sections, "left_out": left_out, **drawn}

    def write(self, folder: Path) -> None:
        """report.md, runs.csv, differences.csv and index.html: all of them or none.

        Raises InputError and DiskFullError.
        """
        title = f"{sum(len(section.runs) for section in self.sections)} runs of spdbuild"
        told = [*self.parts, *self._origins()]
        charts = [tuple(curves(section, section.shown(self.metrics))) for section in self.sections]
        # The sections come first, in their order.
        drawn = [replace(part, charts=own) for part, own in zip(told, charts, strict=False)]
        page = html(title, [*drawn, *told[len(drawn) :]])
        tables = {TABLE: runs_csv(self.sections), DIFFERENCES_TABLE: differences_csv(self.sections, self.comparisons)}
        write_files(folder, {MARKDOWN: markdown(title, told), **tables, PAGE: page})

    def _part(self, section: Section, pairs: Sequence[Comparison]) -> Part:
        shown = section.shown(self.metrics)
        tables = [parts.groups_table(section, shown)]
        tables += [parts.differences_table(pairs, shown), parts.costs_table(pairs)] if pairs else []
        tables += [parts.runs_table(section, shown)]
        return Part(section.title, tuple(self._notes(section, pairs)), tuple(table for table in tables if table.rows))

    def _origins(self) -> list[Part]:
        made = Part("How the runs were made", tables=(parts.made_table(self.sections),))
        return [made, *([Part("Left out", tuple(map(str, self.left_out)))] if self.left_out else [])]

    def _notes(self, section: Section, pairs: Sequence[Comparison]) -> list[str]:
        others = [other for other in self.sections if other is not section]
        shown = section.shown(self.metrics)
        return notes(section, others, pairs, shown, self.against)


def report(
    *runs: str | Path,
    metrics: Iterable[str] = (),
    against: str | None = None,
    output: str | Path | None = None,
    resamples: int = 0,
    together: str | None = None,
    quiet: bool = False,
) -> Report:
    """Report on the runs in or below folders: grouped by recipe over seeds, with paired differences and costs.

    runs: folders of runs, which include their twins, or folders that hold runs. metrics: those that the tables show.
    against: name of the group that all others are compared with. output: folder for report.md, runs.csv,
    differences.csv and index.html. resamples: number of resamples of the test images, for the intervals of differences
    over them; 0: none. together: a regular expression; images in whose names it matches the same text are drawn
    together. quiet: show no progress.
    torch is not imported. Raises InputError if there is nothing to report, ArgumentError for too few resamples and for
    an invalid regular expression.
    """
    if resamples and resamples < LEAST:
        message = f"{resamples} resamples tell too little"
        raise ArgumentError(message, argument="resamples", hint=f"at least {LEAST}; 200 suffice")
    pattern = pattern_of(together)
    wanted = tuple(metrics)
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
    if resamples:
        compared = _resampled(compared, resamples, pattern, Console(quiet))
    pairs = tuple(map(tuple, compared))
    made = Report(tuple(sections), pairs, (*left_out, *repeated), wanted, against, resamples, together)
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
    why = f"it has not begun; go on with `spdbuild train --resume {run.folder}`"
    twins = [run.folder / name for name in run.recipe["compare"]]
    return [LeftOut(twin, why) for twin in twins if not twin.is_dir()]


def _check_metrics(sections: Iterable[Section], wanted: Iterable[str]) -> None:
    known = list(dict.fromkeys(name for section in sections for name in section.metrics))
    for name in wanted:
        if name not in known:
            raise UnknownNameError(f"no run has a metric '{name}'", hint=nearest(name, known))
