"""Everything that can be said against an architecture file: the text, every variant, and the counts it expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from spdbuild.architecture.document import Document
from spdbuild.errors import Location, Problem, SourceError, SpdbuildError
from spdbuild.graph import Graph
from spdbuild.loading import choose, read_document
from spdbuild.source import Source

_UNITS = {"parameters": "parameters", "macs": "MACs"}


def check_architecture(source: Source, *, allow_imports: bool = False) -> dict[str | None, Graph]:
    """The graph of every variant, under None where there are none; all problems of the file are raised together."""
    document = read_document(source, allow_imports=allow_imports)
    graphs: dict[str | None, Graph] = {}
    problems: list[Problem] = []
    for variant in document.variants or [None]:
        try:
            graphs[variant] = choose(document, variant).graph
        except SpdbuildError as error:
            problems += _of_variant(error, variant, {problem.location for problem in problems})
    problems += expectation_problems(document, graphs)
    if problems:
        raise SourceError.gather(problems)
    return graphs


def expectation_problems(document: Document, graphs: Mapping[str | None, Graph]) -> Iterator[Problem]:
    """Counts under `expect:` that a graph does not have."""
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


def _of_variant(error: SpdbuildError, variant: str | None, known: set[Location | None]) -> Iterator[Problem]:
    """The problems of one variant at places where no variant before it had one."""
    for problem in error.problems:
        if problem.location not in known:
            step = () if variant is None else (f"in the variant {variant}",)
            yield replace(problem, trail=problem.trail + step)
