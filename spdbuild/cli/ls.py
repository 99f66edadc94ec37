"""`spdbuild ls`: what comes with the package."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from spdbuild import builtin
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import json_option
from spdbuild.cli.tables import show_table
from spdbuild.text.source import parse_yaml, read_source
from spdbuild.wording.quantities import shapes_text
from spdbuild.wording.tables import Table


@click.command("ls", epilog="Example: spdbuild ls '*spd*'")
@click.argument("pattern", default="*")
@json_option
def command(pattern: str, as_json: bool) -> None:
    """List the architectures, with their variants and parameters, and the recipes whose names match PATTERN."""
    architectures = [_architecture(path) for name, path in _named("architectures", pattern)]
    recipes = [_recipe(path) for name, path in _named("recipes", pattern)]
    if as_json:
        print_json({"architectures": architectures, "recipes": recipes})
        return
    if architectures:
        show_table(_architectures(architectures))
    if architectures and recipes:
        click.echo()
    if recipes:
        show_table(_recipes(recipes))
    if not architectures and not recipes:
        click.echo(f"nothing is called '{pattern}'", err=True)


def _named(kind: str, pattern: str) -> list[tuple[str, Path]]:
    return [(name, path) for name, path in builtin.listed(kind).items() if fnmatchcase(name, pattern)]


def _architecture(path: Path) -> dict[str, Any]:
    from spdbuild.checking import check_architecture

    graphs = check_architecture(read_source(path)).graphs
    inputs = [list(node.shape) for node in next(iter(graphs.values())).inputs]
    params = {variant or "": graph.parameters for variant, graph in graphs.items()}
    return {"name": path.stem, "file": str(path), "inputs": inputs, "params": params}


def _recipe(path: Path) -> dict[str, Any]:
    return {"name": path.stem, "file": str(path)} | _network(path)


def _network(path: Path) -> dict[str, Any]:
    """`architecture`, `variant` and `extends` of a recipe; the first two also from the recipe that it extends."""
    root = parse_yaml(read_source(path))
    own = {key: value.plain() for key in ("architecture", "variant", "extends") if (value := root.get(key))}
    if "extends" not in own:
        return own
    return _network(builtin.find_extended(own["extends"], path, "recipes")) | own


def _architectures(entries: list[dict[str, Any]]) -> Table:
    table = Table(("architecture", "input", "parameters"))
    for entry in entries:
        counts = [f"{variant} {count:,}".strip() for variant, count in entry["params"].items()]
        table.add(entry["name"], shapes_text(entry["inputs"]), ", ".join(counts))
    return table


def _recipes(entries: list[dict[str, Any]]) -> Table:
    table = Table(("recipe", "architecture"))
    for entry in entries:
        table.add(entry["name"], f"{entry['architecture']} {entry.get('variant', '')}".strip())
    return table
