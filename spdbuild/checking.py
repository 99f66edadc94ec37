"""All checks of an architecture file: its text, every variant, and the counts that it expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from spdbuild.architecture.document import Document
from spdbuild.architecture.unused import unused
from spdbuild.errors import Location, Problem, SourceError, SpdbuildError
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, choose, read_document
from spdbuild.text.source import Source
from spdbuild.weights.rename import compile_rules

_UNITS = {"parameters": "parameters", "macs": "MACs"}


@dataclass(frozen=True)
class Checked:
    """A file without mistakes: the graph of every variant, under None if there are no variants, and warnings."""

    graphs: Mapping[str | None, Graph]
    warnings: tuple[Problem, ...]


def check_architecture(source: Source, *, allow_imports: bool = False) -> Checked:
    """The graphs and warnings of a file; if it has mistakes, all are raised together."""
    document = read_document(source, allow_imports=allow_imports)
    variants: dict[str | None, Architecture] = {}
    problems: list[Problem] = []
    for variant in document.variants or [None]:
        try:
            variants[variant] = choose(document, variant)
        except SpdbuildError as error:
            problems += _of_variant(error, variant, {problem.location for problem in problems})
    graphs = {variant: architecture.graph for variant, architecture in variants.items()}
    problems += expectation_problems(document, graphs)
    problems += _rename_problems(document)
    if problems:
        raise SourceError.gather(problems)
    return Checked(graphs, unused(document, [architecture.expansion for architecture in variants.values()]))


def expectation_problems(document: Document, graphs: Mapping[str | None, Graph]) -> Iterator[Problem]:
    """Counts under `expect:` that differ from those of the graphs."""
    expected = document.values.get("expect")
    for what, value in expected.items() if expected else ():
        if isinstance(value.data, dict):
            entries = {variant: value.get(variant or "") for variant in graphs}
        else:
            entries = dict.fromkeys(graphs, value)
        for variant, entry in entries.items():
            count = getattr(graphs[variant], what)
            if entry is not None and entry.data != count:
                name = f"{document.model} {variant}" if variant else document.model
                message = f"{name} has {count:,} {_UNITS[what]}, but {entry.data:,} are expected here"
                yield Problem(message, entry.key or entry.location)


def _rename_problems(document: Document) -> Iterator[Problem]:
    """What is wrong with the tables under `rename:`."""
    tables = document.values.get("rename")
    for _, table in tables.items() if tables else ():
        try:
            compile_rules(dict(table.items()))
        except SpdbuildError as error:
            yield from error.problems


def _of_variant(error: SpdbuildError, variant: str | None, known: set[Location | None]) -> Iterator[Problem]:
    """The problems of one variant, except at places where an earlier variant had one."""
    for problem in error.problems:
        if problem.location not in known:
            step = () if variant is None else (f"in the variant {variant}",)
            yield replace(problem, trail=problem.trail + step)
