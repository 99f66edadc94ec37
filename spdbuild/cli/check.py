"""`spdbuild check`: all mistakes of architectures and recipes, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.content import find, is_recipe
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import BuiltinName, imports_option, json_option
from spdbuild.errors import Problem, SpdbuildError
from spdbuild.source import Source, read_source

if TYPE_CHECKING:
    from spdbuild.graph import Graph

_EXAMPLES = """\b
Examples:
  spdbuild check architectures/*.yaml recipes/*.yaml
  spdbuild check my_network.yaml --json
"""


@click.command("check", epilog=_EXAMPLES)
@click.argument("files", nargs=-1, required=True, type=BuiltinName("architectures", "recipes"))
@imports_option
@json_option
@click.pass_context
def command(ctx: click.Context, files: tuple[str, ...], allow_imports: bool, as_json: bool) -> None:
    """Check architectures and recipes: every variant, the counts under 'expect:', the networks of recipes, all files.

    Of a folder, the .yaml files in it.
    One line on stdout for each file that is right; the mistakes go to stderr, and the exit code is 2 if there are any.
    """
    results = {name: _check(name, allow_imports) for name in dict.fromkeys(_expanded(files))}
    if as_json:
        print_json({"files": [_document(name, result) for name, result in results.items()]})
    for name, result in results.items():
        if isinstance(result, SpdbuildError):
            click.echo(f"{result}\n", err=True)
        elif not as_json:
            click.echo(f"{name}: {result}")
    wrong = sum(isinstance(result, SpdbuildError) for result in results.values())
    if wrong:
        click.echo(f"{wrong} of {len(results)} files have mistakes", err=True)
        ctx.exit(SpdbuildError.exit_code)


def _expanded(names: Iterable[str]) -> Iterator[str]:
    """The names with the .yaml files of a folder in its place; one without any stays and is told as a mistake."""
    for name in names:
        yield from [str(file) for file in sorted(Path(name).glob("*.yaml"))] or [name]


def _check(name: str, allow_imports: bool) -> str | SpdbuildError:
    """What to say of a file that is right, or what is wrong."""
    try:
        source = read_source(find(name))
        check = _check_recipe if is_recipe(source) else _check_architecture
        return check(source, allow_imports)
    except SpdbuildError as error:
        return error


def _check_architecture(source: Source, allow_imports: bool) -> str:
    from spdbuild.checking import check_architecture

    graphs = check_architecture(source, allow_imports=allow_imports)
    return _counts({variant or "": graph for variant, graph in graphs.items()})


def _check_recipe(source: Source, allow_imports: bool) -> str:
    from spdbuild.training.checking import check_recipe

    _, graphs = check_recipe(source.name, allow_imports=allow_imports)
    return _counts(graphs if len(graphs) > 1 else dict(zip([""], graphs.values(), strict=True)))


def _counts(graphs: Mapping[str, Graph]) -> str:
    """What to say of networks that are right, by name; one alone may have none."""
    return "ok, parameters: " + ", ".join(f"{name} {graph.parameters:,}".strip() for name, graph in graphs.items())


def _document(name: str, result: str | SpdbuildError) -> dict[str, Any]:
    problems = result.problems if isinstance(result, SpdbuildError) else ()
    return {"file": name, "ok": not problems, "problems": list(map(_problem, problems))}


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
