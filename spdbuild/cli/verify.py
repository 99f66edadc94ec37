"""`spdbuild verify`: do two networks compute the same?"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, PATH, Choice, choice_options, json_option
from spdbuild.cli.tables import show_table
from spdbuild.cli.weight_options import weights_option
from spdbuild.conversion.limits import EXACT, ROUNDED
from spdbuild.errors import RunError, WeightsError
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from spdbuild.conversion.verification import Verification
    from spdbuild.training.trained.stored_graph import StoredGraph
    from spdbuild.weights import StoredWeights

#: Number of images of a folder that both networks are run on.
IMAGES = 32

_EXAMPLES = """\b
Examples:
  spdbuild verify resnet50 resnet50_spd.yaml
  spdbuild verify resnet50 new.yaml --weights-a resnet50.safetensors --weights-b new.safetensors --images photos
  spdbuild verify runs/quickstart folded.yaml --weights-b folded.safetensors --layers
"""


@click.command("verify", epilog=_EXAMPLES)
@click.argument("a", type=ARCHITECTURE)
@click.argument("b", type=ARCHITECTURE)
@choice_options
@weights_option("Weights of A. [default: random]", "-a")
@weights_option("Weights of B. [default: those of A, carried over]", "-b")
@click.option("--images", type=PATH, metavar="FOLDER", help="Compare on the images in FOLDER, too.")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help=f"Largest relative error; by default {EXACT:g}, and {ROUNDED:g} with the weights of B.",
)
@click.option("--layers", is_flag=True, help="List the error of every layer.")
@json_option
def command(
    a: str,
    b: str,
    choice: Choice,
    weights_a: StoredWeights | None,
    weights_b: StoredWeights | None,
    images: Path | None,
    tolerance: float | None,
    layers: bool,
    as_json: bool,
) -> None:
    """Run A and B on random and on real images, and report whether they are equal or at which layer they diverge.

    A and B are architectures or folders of runs; B without weights must be a conversion of A. Everything is computed in
    float64. The error is max |a - b| / max |a|. Exit code 1 if the outputs differ.
    """
    from spdbuild.conversion.verification import verify

    with _hints_for("a"):
        one = _choice_for(a, choice).network(a, weights_a)
    with _hints_for("b"):
        other = _choice_for(b, choice).network(b, weights_b)
    if tolerance is None:
        tolerance = EXACT if other.weights is None else ROUNDED
    found = verify(*_models(one, other), _inputs(one, images), tolerance)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found, layers)
    if not found.equal:
        raise RunError(_difference(a, b, found))


def _choice_for(name: str, choice: Choice) -> Choice:
    """The choice, without its variant for a file that has no variants, such as a folded one."""
    if choice.variant is None or Path(name).is_dir() or choice.document(name).variants:
        return choice
    click.echo(f"{name} has no variants: --variant is not for it", err=True)
    return replace(choice, variant=None)


@contextmanager
def _hints_for(side: str) -> Iterator[None]:
    """Let hints name the options of the weights of A or B."""
    try:
        yield
    except WeightsError as error:
        told = (replace(p, hint=re.sub(r"--(key|prefix)\b", rf"--\1-{side}", p.hint)) for p in error.problems)
        raise WeightsError.gather(told) from None


def _models(one: StoredGraph, other: StoredGraph) -> tuple[nn.Module, nn.Module]:
    from spdbuild.conversion.verification import in_float64

    with _hints_for("a"):
        first = one.read_weights()
    with _hints_for("b"):
        second = other.read_weights()
    return in_float64(one.graph, first, other.graph, second)


def _inputs(network: StoredGraph, images: Path | None) -> Iterator[tuple[Tensor, ...]]:
    from spdbuild.conversion.images import folder_images
    from spdbuild.conversion.verification import random_inputs

    yield from random_inputs(network.graph)
    if images is not None:
        yield from ((batch,) for batch in folder_images(images, network.graph, IMAGES))


def _show(found: Verification, layers: bool) -> None:
    if layers:
        table = Table(("layer", "error"), numbers=("error",))
        for layer in found.layers:
            table.add(layer.name, f"{layer.error:.1e}")
        for name in found.skipped:
            table.add(name, "other shape")
        show_table(table)
        click.echo("")
    click.echo(str(found))


def _difference(a: str, b: str, found: Verification) -> str:
    parting = found.parting
    where = f"they part at '{parting.name}' ({parting.error:.1e})" if parting else "no layer of the same name differs"
    return f"{a} and {b} differ by {found.largest:.1e}, more than {found.tolerance:g}; {where}"
