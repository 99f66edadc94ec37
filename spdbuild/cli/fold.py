"""`spdbuild fold`: an SPD network as the strided one that computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, SAFETENSORS, Choice, choice_options, json_option, output_option
from spdbuild.cli.output import put_text
from spdbuild.cli.tables import show_table
from spdbuild.cli.weight_options import weights_option
from spdbuild.errors import InputError
from spdbuild.system.files import refuse_overwriting
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.conversion.folding import Folding
    from spdbuild.training.trained.stored_graph import StoredGraph
    from spdbuild.weights import StoredWeights

_EXAMPLES = """\b
Examples:
  spdbuild fold runs/quickstart -o folded.yaml --weights-out folded.safetensors
  spdbuild fold resnet50_spd.yaml --weights w.safetensors -o folded.yaml --weights-out folded.safetensors
  spdbuild fold yolov5_spd --variant s -o folded.yaml
"""


@click.command("fold", epilog=_EXAMPLES)
@click.argument("network", type=ARCHITECTURE)
@choice_options
@weights_option("Weights of the network; a run has its own.")
@output_option("the folded architecture")
@click.option("--weights-out", type=SAFETENSORS, metavar="FILE", help="Write the folded network's weights to FILE.")
@click.option("--keep-norms", is_flag=True, help="Do not multiply norms into convolutions.")
@click.option(
    "--into-producers",
    is_flag=True,
    help="Where only the convolution before a space_to_depth can absorb it, fold it there, which costs MACs.",
)
@json_option
def command(
    network: str,
    choice: Choice,
    weights: StoredWeights | None,
    output: Path | None,
    weights_out: Path | None,
    keep_norms: bool,
    into_producers: bool,
    as_json: bool,
) -> None:
    """Turn space-to-depth and the convolutions around it into strided convolutions, for deployment.

    NETWORK is an architecture or the folder of a run. The YAML is flat: one line per layer, named with _ for each dot.
    With weights, each kernel is as small as its taps allow; without them, every tap of a block counts.
    """
    from spdbuild.conversion.folding import fold

    stored = choice.network(network, weights)
    refuse_overwriting(weights_out, None if stored.weights is None else stored.weights.path)
    if weights_out is not None and stored.weights is None:
        raise InputError("--weights-out needs --weights, or the folder of a run")
    ours, source = stored.find_weights()
    folding = fold(
        stored.graph,
        ours,
        fuse=not keep_norms,
        into_producers=into_producers,
        renames=stored.renames,
    )
    text = folding.text(None if output is None else output.parent)
    if weights_out is not None and source is not None:
        _write_weights(folding, stored, source, weights_out)
    if output is not None or not as_json:
        put_text(text, output)
    if as_json:
        print_json(folding.to_dict())
    else:
        _show(folding, err=output is None)


def _write_weights(folding: Folding, network: StoredGraph, source: StoredWeights, output: Path) -> None:
    from spdbuild.weights import save_weights

    facts = {**network.facts().texts(), **source.origin()}
    save_weights(output, folding.flat_weights(), {"architecture": folding.name, **facts})
    click.echo(f"wrote {output}", err=True)


def _show(folding: Folding, *, err: bool) -> None:
    if folding.kept:
        table = Table(("kept", "why"))
        for change in folding.kept:
            table.add(change.name, change.why)
        show_table(table, err=err)
    click.echo(str(folding), err=err)
