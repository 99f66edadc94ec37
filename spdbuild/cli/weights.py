"""`spdbuild weights`: third-party checkpoints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.command_group import NamedCommands
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import (
    ARCHITECTURE,
    PATH,
    SAFETENSORS,
    BuiltinName,
    Choice,
    DependentOption,
    choice_options,
    imports_option,
    json_option,
    repeated_option,
)
from spdbuild.cli.output import say
from spdbuild.cli.tables import show_table
from spdbuild.cli.weight_options import KEY_HELP, PREFIX_HELP, weights_option
from spdbuild.wording.phrases import number
from spdbuild.wording.quantities import shapes_text
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.weights import StoredWeights
    from spdbuild.weights.report import Matching

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
_AVERAGE_EXAMPLES = """\b
Examples:
  spdbuild weights average runs/pets_sweep/seed=0 runs/pets_sweep/seed=1 -o soup.safetensors
  spdbuild weights average runs/a runs/b -o soup.safetensors --recalibrate runs/a --images 2048
  spdbuild eval runs/a --weights soup.safetensors
"""


@click.group("weights", cls=NamedCommands)
def command() -> None:
    """Inspect weights files, import third-party ones, export to the names of others, and average them."""


@command.command("import", epilog=_IMPORT_EXAMPLES)
@click.argument("file", type=PATH)
@click.option("--arch", required=True, type=ARCHITECTURE, help="Architecture that gets the weights.")
@choice_options
@click.option("--table", help="Rename table of the architecture; by default the one that finds most.")
@click.option("--key", help=KEY_HELP)
@click.option("--prefix", help=PREFIX_HELP)
@click.option("--partial", is_flag=True, help="Take what fits and leave out the rest.")
@click.option("-o", "--output", required=True, type=SAFETENSORS, metavar="FILE", help="safetensors file to write.")
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

    _, matching = import_weights(file, choice.load(arch), output, table=table, partial=partial, key=key, prefix=prefix)
    if as_json:
        print_json({"file": str(file), "output": str(output), **matching.to_dict()})
    else:
        show_table(_matching_table(matching), err=True)
    if told := elsewhere_hint(matching):
        say(told, err=True)
    say(_summary(matching, output), err=True)


@command.command("export", epilog=_EXPORT_EXAMPLES)
@click.argument("network", type=ARCHITECTURE)
@choice_options
@weights_option("Weights of an architecture (required); a run has its own.")
@click.option("--like", required=True, help="torchvision:NAME, timm:NAME, or a file of weights with the names to use.")
@click.option("--table", help="Rename table of the architecture; by default the one that finds most.")
@click.option("-o", "--output", required=True, type=SAFETENSORS, metavar="FILE", help="safetensors file to write.")
@json_option
def export_file(
    network: str,
    choice: Choice,
    weights: StoredWeights | None,
    like: str,
    table: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Write the weights of NETWORK, a run or an architecture, under the names of another library.

    This is `spdbuild weights import`, undone: load_state_dict of a network like LIKE takes the tensors of the file. The
    last layer of LIKE may have another number of classes. A named network is also run, and must compute the same.
    """
    from spdbuild.exporting.weights import export_weights

    source = choice.source(network)
    _, matching = export_weights(
        source,
        like,
        output,
        weights=weights,
        table=table,
        inputs=choice.inputs if source is network else None,
        allow_imports=choice.allow_imports,
    )
    if as_json:
        print_json({"like": like, "output": str(output), **matching.to_dict()})
    say(f"{output}: {_names(matching)}", err=True)


@command.command("average", epilog=_AVERAGE_EXAMPLES)
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="SOURCES...")
@click.option("--key", help=KEY_HELP)
@click.option("--prefix", help="What stands before the names in each file, such as module.; it is left out.")
@click.option("-o", "--output", required=True, type=SAFETENSORS, metavar="FILE", help="safetensors file to write.")
@click.option(
    "--recalibrate",
    metavar="RECIPE",
    type=BuiltinName("recipes"),
    help="Measure the statistics of batch norms on the training images of a run or a recipe, without augmentation.",
)
@click.option(
    "--images",
    cls=DependentOption,
    needs="--recalibrate",
    type=click.IntRange(1),
    help="How many images, at random, in whole batches; by default all.",
)
@repeated_option(
    "--set",
    "overrides",
    cls=DependentOption,
    needs="--recalibrate",
    metavar="KEY=VALUE",
    help="Change a key of that recipe.",
)
@imports_option
@json_option
def average_files(
    sources: tuple[Path, ...],
    key: str | None,
    prefix: str | None,
    output: Path,
    recalibrate: str | None,
    images: int | None,
    overrides: tuple[str, ...],
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Write the mean of the weights of SOURCES: folders of runs, whose best weights are taken, or files of weights.

    All must have the same names, shapes and types. Sums are in float64, and each tensor keeps its type. Of the counters
    of batch norms the greatest is taken.

    The mean of the statistics of batch norms only approximates those of the averaged network: --recalibrate measures
    them on images, as often as the recipe's `sampling` has them, as the mean over batches.
    """
    from spdbuild.training.trained.averaging import average_weights

    found = average_weights(
        sources,
        output,
        key=key,
        prefix=prefix,
        recalibrate=recalibrate,
        images=images,
        overrides=overrides,
        quiet=False,
        allow_imports=allow_imports,
    )
    if as_json:
        print_json({"output": str(output), **found.to_dict()})
    said = f"{output}: the mean of {len(found.sources)}, {number(len(found.weights), 'tensor')}"
    if measured := found.recalibration:
        said += f"; statistics of {number(measured.norms, 'norm')} from {number(measured.images, 'image')}"
    elif found.has_norms:
        said += "; statistics of batch norms are their mean, too: --recalibrate RECIPE measures them"
    say(said, err=True)
    for line in found.warnings:
        say(f"warning: {line}", err=True)


@command.command("show", epilog="Example: spdbuild weights show yolov5s.pt")
@click.argument("file", type=PATH)
@click.option("--key", help=KEY_HELP)
@json_option
def show(file: Path, key: str | None, as_json: bool) -> None:
    """List the names, shapes and types of the tensors in FILE; nothing in it is run, and no tensor is read."""
    from spdbuild.weights import open_weights

    contents = open_weights(file, key)
    if as_json:
        print_json(contents.to_dict())
        return
    table = Table(("tensor", "shape", "type", "bytes"), ("bytes",))
    for name, info in contents.tensors.items():
        table.add(name, _times(info.shape), info.dtype, f"{info.bytes:,}")
    show_table(table)
    taken = f", under '{contents.taken_from}'" if contents.taken_from else ""
    total = f"{len(contents.tensors)} tensors, {contents.bytes:,} bytes"
    say(f"\n{contents.format}{taken}, {total}")


def _matching_table(matching: Matching) -> Table:
    table = Table(("ours", "theirs", "shape", "status", "note"))
    for entry in matching.entries:
        shape = _times(entry.shape or entry.their_shape or ())
        table.add(entry.name or "", entry.theirs or "", shape, entry.status, entry.note)
    return table


def _summary(matching: Matching, output: Path) -> str:
    counts = ", ".join(f"{number} {status}" for status, number in matching.counts.items() if number)
    taken = f", under '{matching.taken_from}'" if matching.taken_from else ""
    return f"{output}: {counts}; {_names(matching)}{taken}"


def _names(matching: Matching) -> str:
    names = f"names of the table '{matching.table}'" if matching.table else "our own names"
    return f"{names} behind '{matching.prefix}'" if matching.prefix else names


def _times(shape: Iterable[int]) -> str:
    return shapes_text([shape]) or "-"
