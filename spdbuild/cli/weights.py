"""`spdbuild weights`: third-party checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, PATH, Choice, choice_options, json_option
from spdbuild.cli.output import say
from spdbuild.cli.tables import Table

if TYPE_CHECKING:
    from spdbuild.weights.report import Report

_IMPORT_EXAMPLES = """\b
Examples:
  spdbuild weights import resnet50.pth --arch resnet50 -o resnet50.safetensors
  spdbuild weights import yolov5s.pt --arch yolov5 --variant s -o yolov5s.safetensors
"""
_EXPORT_EXAMPLES = """\b
Examples:
  spdbuild weights export runs/pets --like torchvision:resnet18 -o pets.safetensors
  spdbuild weights export yolov5 --variant s --weights w.safetensors --like yolov5s.pt -o theirs.safetensors
"""


_key_option = click.option(
    "--key",
    help="Key of a checkpoint under which the weights are, such as model, or ema.model for one within ema; by default "
    "averaged ones come first.",
)


@click.group("weights")
def command() -> None:
    """Inspect weights files, import third-party ones, and export to the names of others."""


@command.command("import", epilog=_IMPORT_EXAMPLES)
@click.argument("file", type=PATH)
@click.option("--arch", required=True, type=ARCHITECTURE, help="Architecture that gets the weights.")
@choice_options
@click.option("--table", help="Rename table of the architecture; by default the one that finds most.")
@_key_option
@click.option("--prefix", help="What stands before the names, such as online.; by default that with which most fit.")
@click.option("--partial", is_flag=True, help="Take what fits and leave out the rest.")
@click.option("-o", "--output", required=True, type=PATH, help="safetensors file to write.")
@json_option
def import_file(
    file: Path,
    arch: str,
    choice: Choice,
    table: str | None,
    key: str | None,
    prefix: str | None,
    partial: bool,
    output: Path,
    as_json: bool,
) -> None:
    """Write the weights of FILE under the names of an architecture.

    FILE is a safetensors file or a checkpoint of torch: a state_dict or a whole pickled module. Nothing in it is run.
    """
    from spdbuild.importing.weights import import_weights
    from spdbuild.weights.matching import elsewhere_hint

    _, report = import_weights(file, choice.load(arch), output, table=table, partial=partial, key=key, prefix=prefix)
    if as_json:
        print_json({"file": str(file), "output": str(output), **report.as_json()})
    else:
        _report_table(report).show(err=True)
    if told := elsewhere_hint(report):
        say(told, err=True)
    say(_summary(report, output), err=True)


@command.command("export", epilog=_EXPORT_EXAMPLES)
@click.argument("network", type=ARCHITECTURE)
@choice_options
@click.option("--weights", type=PATH, metavar="FILE", help="Weights of an architecture (required); a run has its own.")
@click.option("--like", required=True, help="torchvision:NAME, timm:NAME, or a file of weights with the names to use.")
@click.option("--table", help="Rename table of the architecture; by default the one that finds most.")
@click.option("-o", "--output", required=True, type=PATH, help="safetensors file to write.")
@json_option
def export_file(
    network: str, choice: Choice, weights: Path | None, like: str, table: str | None, output: Path, as_json: bool
) -> None:
    """Write the weights of NETWORK, a run or an architecture, under the names of another library.

    This is `spdbuild weights import`, undone: load_state_dict of a network like LIKE takes the tensors of the file. The
    last layer of LIKE may have another number of classes. A named network is also run, and must compute the same.
    """
    from spdbuild.exporting.weights import export_weights

    source = choice.source(network)
    _, report = export_weights(
        source,
        like,
        output,
        weights=weights,
        table=table,
        inputs=choice.inputs if source is network else None,
        allow_imports=choice.allow_imports,
    )
    if as_json:
        print_json({"like": like, "output": str(output), **report.as_json()})
    say(f"{output}: {_names(report)}", err=True)


@command.command("show", epilog="Example: spdbuild weights show yolov5s.pt")
@click.argument("file", type=PATH)
@_key_option
@json_option
def show(file: Path, key: str | None, as_json: bool) -> None:
    """List the names, shapes and types of the tensors in FILE; nothing in it is run, and no tensor is read."""
    from spdbuild.weights import open_weights

    contents = open_weights(file, key)
    if as_json:
        print_json(contents.as_json())
        return
    table = Table(("tensor", "shape", "type", "bytes"), ("bytes",))
    for name, info in contents.tensors.items():
        table.add(name, _times(info.shape), info.dtype, f"{info.bytes:,}")
    table.show()
    taken = f", under '{contents.taken_from}'" if contents.taken_from else ""
    total = f"{len(contents.tensors)} tensors, {contents.bytes:,} bytes"
    say(f"\n{contents.format}{taken}, {total}")


def _report_table(report: Report) -> Table:
    table = Table(("ours", "theirs", "shape", "status", "note"))
    for entry in report.entries:
        shape = _times(entry.shape or entry.their_shape or ())
        table.add(entry.name or "", entry.theirs or "", shape, entry.status, entry.note)
    return table


def _summary(report: Report, output: Path) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in report.counts.items() if number)
    taken = f", under '{report.taken_from}'" if report.taken_from else ""
    return f"{output}: {counts}; {_names(report)}{taken}"


def _names(report: Report) -> str:
    names = f"names of the table '{report.table}'" if report.table else "our own names"
    return f"{names} behind '{report.prefix}'" if report.prefix else names


def _times(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "-"
