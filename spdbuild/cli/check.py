"""`spdbuild check`: all mistakes of architectures and recipes, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild import builtin
from spdbuild.cli.content import is_recipe
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import BuiltinName, imports_option, json_option
from spdbuild.errors import Problem, SpdbuildError
from spdbuild.text.source import Source, read_source

if TYPE_CHECKING:
    from spdbuild.graph import Graph

_EXAMPLES = """\b
Examples:
  spdbuild check architectures/*.yaml recipes/*.yaml
  spdbuild check my_network.yaml --json
"""


@click.command("check", epilog=_EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=BuiltinName("architectures", "recipes"))
@click.option("--strict", is_flag=True, help="Exit with code 2 on warnings, too.")
@imports_option
@json_option
@click.pass_context
def command(ctx: click.Context, files: tuple[str, ...], strict: bool, allow_imports: bool, as_json: bool) -> None:
    """Check architectures and recipes: every variant, the counts under 'expect:', the networks of recipes, all files.

    A folder stands for the .yaml files in it.
    Each correct file gets one line on stdout; mistakes go to stderr, and the exit code is 2 if there are any.
    Layers on which no output depends, and inputs, vars, parameters and the like that nothing reads, are warnings.
    """
    results = {name: _check(name, allow_imports) for name in dict.fromkeys(_expanded(files))}
    if as_json:
        print_json({"files": [_document(name, result) for name, result in results.items()]})
    for name, result in results.items():
        for problem in (*result.problems, *result.warnings):
            click.echo(f"{problem}\n", err=True)
        if result.ok and not as_json:
            click.echo(f"{name}: {result.counts}")
    wrong = sum(not result.ok for result in results.values())
    doubtful = sum(bool(result.warnings) for result in results.values())
    if wrong:
        click.echo(f"{wrong} of {len(results)} files have mistakes", err=True)
    if wrong or (strict and doubtful):
        ctx.exit(SpdbuildError.exit_code)


@dataclass(frozen=True)
class _Result:
    """The result for one file: its problems and warnings and, if it is correct, the counts of its networks."""

    counts: str = ""
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def _expanded(names: Iterable[str]) -> Iterator[str]:
    """The names, each folder replaced by its .yaml files; one without any stays, and is reported as a mistake."""
    for name in names:
        yield from [str(file) for file in sorted(Path(name).glob("*.yaml"))] or [name]


def _check(name: str, allow_imports: bool) -> _Result:
    try:
        source = read_source(builtin.find(name, "architectures", "recipes"))
        check = _check_recipe if is_recipe(source) else _check_architecture
        return check(source, allow_imports)
    except SpdbuildError as error:
        return _Result(problems=error.problems)


def _check_architecture(source: Source, allow_imports: bool) -> _Result:
    from spdbuild.checking import check_architecture

    checked = check_architecture(source, allow_imports=allow_imports)
    counts = _counts({variant or "": graph for variant, graph in checked.graphs.items()})
    return _Result(counts, warnings=checked.warnings)


def _check_recipe(source: Source, allow_imports: bool) -> _Result:
    from spdbuild.training.running.checking import check_recipe, doubts

    recipe, graphs = check_recipe(source.name, allow_imports=allow_imports)
    counts = _counts(graphs if len(graphs) > 1 else dict(zip([""], graphs.values(), strict=True)))
    return _Result(counts, warnings=tuple(doubts(recipe)))


def _counts(graphs: Mapping[str, Graph]) -> str:
    """The line for correct networks, by name; a single one may have an empty name."""
    return "ok, parameters: " + ", ".join(f"{name} {graph.parameters:,}".strip() for name, graph in graphs.items())


def _document(name: str, result: _Result) -> dict[str, Any]:
    problems, warnings = map(_problem, result.problems), map(_problem, result.warnings)
    return {"file": name, "ok": result.ok, "problems": list(problems), "warnings": list(warnings)}


def _problem(problem: Problem) -> dict[str, Any]:
    place = problem.location
    return {
        "message": problem.message,
        "file": place and place.file,
        "line": place and place.line,
        "column": place and place.column,
        "hint": problem.hint,
        "trail": list(problem.trail),
    }
