"""`spdbuild import`: a network of another library or dialect, in our language and with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.options import SAFETENSORS, output_option, parse_shape
from spdbuild.cli.output import put_text
from spdbuild.cli.weight_options import weights_option
from spdbuild.errors import InputError

if TYPE_CHECKING:
    from spdbuild.loading import Architecture
    from spdbuild.weights import StoredWeights

_EXAMPLES = """\b
Examples:
  spdbuild import torchvision:resnet50 -o mine.yaml --weights-out mine.safetensors
  spdbuild import timm:convnext_atto --input 3,64,64 > convnext.yaml
  spdbuild import torchvision:resnet50 --weights resnet50.pth -o mine.yaml --weights-out mine.safetensors
  spdbuild import yolov5n_spd.yaml -o mine.yaml
"""


@click.command("import", epilog=_EXAMPLES)
@click.argument("network")
@output_option("the architecture")
@weights_option("The network's weights, under its own names.")
@click.option("--weights-out", type=SAFETENSORS, metavar="FILE", help="Write the weights, under our names, to FILE.")
@click.option("--input", "shape", metavar="C,H,W", help="Input shape; for a file of rows, that of the square image.")
def command(
    network: str, output: Path | None, weights: StoredWeights | None, weights_out: Path | None, shape: str | None
) -> None:
    """Write a third-party network in the language of spdbuild.

    NETWORK is torchvision:NAME or timm:NAME, which begin with random weights, or a YAML file of rows
    [from, number, module, args]. The YAML goes to FILE, or to stdout. Modules that differ only in numbers become one
    block. If the network does something that no op computes, that is reported and nothing is written.
    """
    from spdbuild.importing.zoo import is_named

    size = parse_shape(shape) if shape else None
    if is_named(network):
        architecture = _from_library(network, size, weights, weights_out)
    elif weights is not None or weights_out is not None:
        raise InputError(
            "a file of rows has no weights", hint="spdbuild weights import FILE --arch NEW.yaml renames those of others"
        )
    else:
        architecture = _from_rows(network, size)
    put_text(architecture.text, output)


def _from_library(
    network: str, size: tuple[int, ...] | None, weights: StoredWeights | None, weights_out: Path | None
) -> Architecture:
    from spdbuild.importing.torch_module import import_module
    from spdbuild.importing.zoo import network as build

    module, example = build(network, size)
    origin = {"source": network}
    if weights is not None:
        from spdbuild.weights import load_into

        origin = dict(weights.found(load_into(module, weights)).origin())
    imported = import_module(module, example, network, network)
    if weights_out is not None:
        from spdbuild.weights import save_weights

        save_weights(weights_out, imported.weights, {"architecture": imported.architecture.name, **origin})
        click.echo(f"wrote {weights_out}", err=True)
    graph = imported.architecture.graph
    click.echo(
        f"{len(graph.layers)} layers, {graph.parameters:,} parameters, relative error {imported.error:.1e}", err=True
    )
    if imported.unused:
        click.echo(f"not used in evaluation: {', '.join(imported.unused)}", err=True)
    return imported.architecture


def _from_rows(network: str, size: tuple[int, ...] | None) -> Architecture:
    from spdbuild.importing.rows import SIZE, import_rows
    from spdbuild.text.kinds import kind_of
    from spdbuild.text.source import parse_yaml, read_source

    if not network.endswith((".yaml", ".yml")):
        hint = "torchvision:NAME, timm:NAME or a YAML file of rows"
        raise InputError(f"'{network}' cannot be imported", hint=hint)
    source = read_source(network)
    kind = kind_of(parse_yaml(source))
    if kind == "dataset":
        hint = f"`spdbuild data recipe {network} -o new.yaml` writes a recipe for it"
        raise InputError(f"{network} describes a data set, and no network", hint=hint)
    if kind != "rows":
        raise InputError(f"{network} is not a file of rows [from, number, module, args]", hint="it has no key 'nc'")
    if size is not None and size[1:] != (size[-1],) * 2:
        raise InputError(f"--input of a file of rows must be square, got {','.join(map(str, size))}")
    architecture = import_rows(source, size=size[-1] if size else SIZE)
    click.echo(f"{len(architecture.graph.layers)} layers, {architecture.graph.parameters:,} parameters", err=True)
    return architecture
