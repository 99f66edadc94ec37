"""`spdbuild weights`: other people's checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from spdbuild.loading import Architecture
    from spdbuild.weights.report import Report

#: The first character keeps click from joining the lines.
_IMPORT_EXAMPLES = """\b
Examples:
  spdbuild weights import resnet50.pth --arch resnet50 -o resnet50.safetensors
  spdbuild weights import yolov5s.pt --arch yolov5 --variant s -o yolov5s.safetensors
"""


@click.group("weights")
def command() -> None:
    """Look into files of weights, and take over other people's."""


@command.command("import", epilog=_IMPORT_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--arch", required=True, help="Architecture that gets the weights: a built-in name or a path.")
@click.option("--variant", help="Variant of the architecture.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a var of the architecture.")
@click.option("--table", help="Rename table of the architecture; without it the one that finds most.")
@click.option("--partial", is_flag=True, help="Take what fits and leave out the rest.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="safetensors file to write.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def import_file(
    file: Path,
    arch: str,
    variant: str | None,
    variables: tuple[str, ...],
    table: str | None,
    partial: bool,
    output: Path,
    as_json: bool,
) -> None:
    """Write the weights of FILE under the names of an architecture.

    FILE is a safetensors file or a checkpoint of torch: a state_dict or a whole pickled module. Nothing in it is run.
    """
    from spdbuild.loading import load
    from spdbuild.modules import compile_graph
    from spdbuild.weights import compile_rules, describe_module, import_weights, save_weights

    architecture = load(arch, variant, dict(map(_variable, variables)))
    tables = {name: compile_rules(rules) for name, rules in architecture.renames.items()}
    target = describe_module(compile_graph(architecture.graph, "meta"))
    state, report = import_weights(file, target, tables, table=table, partial=partial)
    save_weights(output, state, _origin(architecture, file, report))
    _print_table(_report_table(report))
    click.echo(_summary(report, output), err=True)
    if as_json:
        click.echo(json.dumps({"file": str(file), "output": str(output), **report.as_json()}))


@command.command("show", epilog="Example: spdbuild weights show yolov5s.pt")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the contents as JSON on stdout.")
def show(file: Path, as_json: bool) -> None:
    """Names, shapes and types of the tensors in FILE; nothing in it is run, and no tensor is read."""
    from spdbuild.weights import open_weights

    contents = open_weights(file)
    rows = [(name, _times(info.shape), info.dtype, f"{info.bytes:,}") for name, info in contents.tensors.items()]
    if as_json:
        tensors = [
            {"name": name, "shape": list(info.shape), "dtype": info.dtype, "bytes": info.bytes}
            for name, info in contents.tensors.items()
        ]
        about = {"file": str(file), "format": contents.format, "taken_from": contents.taken_from}
        click.echo(json.dumps({**about, "metadata": dict(contents.metadata), "tensors": tensors}))
        return
    _print_table(_table(("tensor", "shape", "type", "bytes"), rows))
    taken = f", under '{contents.taken_from}'" if contents.taken_from else ""
    click.echo(f"{file}: {contents.format}{taken}, {len(rows)} tensors, {contents.bytes:,} bytes", err=True)


def _variable(text: str) -> tuple[str, object]:
    from spdbuild.source import parse_scalar

    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"'{text}' is not NAME=VALUE", param_hint="--var")
    try:
        return name, parse_scalar(value)
    except ValueError as error:
        raise click.BadParameter(f"'{text}': {error}", param_hint="--var") from None


def _origin(architecture: Architecture, file: Path, report: Report) -> dict[str, str]:
    """What the written file says about where it came from."""
    from spdbuild.weights import file_sha256

    chosen = {"variant": architecture.variant, "table": report.table}
    return {
        "architecture": architecture.name,
        **{key: text for key, text in chosen.items() if text},
        "source": file.name,
        "source_sha256": file_sha256(file),
    }


def _report_table(report: Report) -> Table:
    rows = [
        (entry.name or "", entry.theirs or "", _times(entry.shape or entry.their_shape or ()), entry.status, entry.note)
        for entry in report.entries
    ]
    return _table(("ours", "theirs", "shape", "status", "note"), rows)


def _summary(report: Report, output: Path) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in report.counts.items() if number)
    names = f"names of the table '{report.table}'" if report.table else "our own names"
    without = f" behind '{report.prefix}'" if report.prefix else ""
    return f"{output}: {counts}; {names}{without}"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", justify="right" if column == "bytes" else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _print_table(table: Table) -> None:
    from rich.console import Console

    Console(stderr=True).print(table)


def _times(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"
