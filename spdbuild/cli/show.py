"""`spdbuild show`: an architecture as it is expanded, a recipe as it is resolved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild import builtin
from spdbuild.cli.content import is_recipe
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import BuiltinName, Choice, FormOption, choice_options, json_option
from spdbuild.cli.tables import show_table
from spdbuild.text.source import read_source
from spdbuild.wording.quantities import shapes_text
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.graph import Graph

_EXAMPLES = """\b
Examples:
  spdbuild show resnet50
  spdbuild show yolov5 --variant s --text > yolov5s_flat.yaml
  spdbuild show quickstart epochs=3 '~compare'
"""


@click.command("show", epilog=_EXAMPLES)
@click.argument("name", type=BuiltinName("architectures", "recipes"))
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE | ~KEY.PATH]...")
@choice_options
@click.option("--text", cls=FormOption, is_flag=True, help="Print the flat YAML: no blocks, vars or variants.")
@json_option
def command(name: str, overrides: tuple[str, ...], choice: Choice, text: bool, as_json: bool) -> None:
    """Show the graph of an architecture, one line per node with op, inputs and shapes; or all values of a recipe.

    NAME is a path, a built-in name, or the folder of a run, for the graph that it has trained.
    KEY.PATH=VALUE and ~KEY.PATH change a recipe as they do in `spdbuild train`.
    """
    path = Path(name) if Path(name).is_dir() else builtin.find(name, "architectures", "recipes")
    if path.is_file() and is_recipe(read_source(path)):
        if choice.variant or choice.vars or choice.inputs or text:
            options = "--variant, --var, --input and --text"
            raise click.UsageError(f"{options} are for architectures, and {path} is a recipe: use KEY.PATH=VALUE")
        _show_recipe(str(path), overrides, as_json)
        return
    if overrides:
        raise click.UsageError(
            f"'{overrides[0]}' changes a recipe, and {path} is an architecture: use --var or --variant"
        )
    graph = choice.load(str(path)).graph
    if as_json:
        print_json(_document(graph))
    elif text:
        from spdbuild.graph.text import graph_text

        click.echo(graph_text(graph), nl=False)
    else:
        show_table(_table(graph))


def _show_recipe(path: str, overrides: tuple[str, ...], as_json: bool) -> None:
    from spdbuild.training.recipe import load_recipe
    from spdbuild.training.recipe.sections import plain

    recipe = load_recipe(path, overrides)
    if as_json:
        print_json(plain(recipe))
    else:
        click.echo(recipe.resolved(), nl=False)


def _table(graph: Graph) -> Table:
    table = Table(("node", "op", "inputs", "shape"))
    for node in graph:
        call = str(node.op) if node.inputs else node.op.name
        table.add(node.name, call, ", ".join(map(str, node.inputs)), shapes_text(node.shapes))
    return table


def _document(graph: Graph) -> dict[str, Any]:
    return {
        "name": graph.name,
        "outputs": list(map(str, graph.outputs)),
        "nodes": [node.to_dict() for node in graph],
    }
