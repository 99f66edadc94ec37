"""`spdbuild diff`: two architectures, layer by layer and in total."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.json_output import node_document, print_json
from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, json_option, markdown_option
from spdbuild.cli.tables import Table
from spdbuild.wording.quantities import change, ratio, scaled, shapes_text

if TYPE_CHECKING:
    from spdbuild.analysis.alignment import Pair
    from spdbuild.graph import Graph

_EXAMPLES = """\b
Examples:
  spdbuild diff resnet50 resnet50_spd.yaml
  spdbuild diff yolov5 yolov5_spd --variant s --markdown
"""


@click.command("diff", epilog=_EXAMPLES)
@click.argument("before", type=ARCHITECTURE)
@click.argument("after", type=ARCHITECTURE)
@choice_options
@click.option("--all", "everything", is_flag=True, help="List equal layers, too.")
@markdown_option
@json_option
def command(before: str, after: str, choice: Choice, everything: bool, form: str | None, as_json: bool) -> None:
    """Compare two architectures layer by layer: what was changed, added (+) and removed (-), and what it costs.

    BEFORE and AFTER are paths, built-in names, or folders of runs. Layers are matched by their names and, where these
    differ, by the order of their ops. The options apply to both.
    """
    from spdbuild.analysis.alignment import align

    one, other = choice.load(before).graph, choice.load(after).graph
    pairs = [pair for pair in align(one, other) if everything or not pair.equal]
    if as_json:
        print_json(_document(one, other, pairs))
    elif form == "markdown":
        click.echo(f"{_table(pairs).markdown()}\n{_totals(one, other).markdown()}", nl=False)
    else:
        if pairs:
            _table(pairs).show()
        click.echo("" if pairs else "the layers are equal\n", nl=bool(pairs))
        _totals(one, other).show()


def _table(pairs: list[Pair]) -> Table:
    numbers = ("params", "MACs")
    table = Table(("", "layer", "changed", "before", "after", "shape", *numbers), numbers)
    for pair in pairs:
        before, after = pair.before, pair.after
        nodes = [node for node in (before, after) if node]
        macs = [node.macs if node else 0 for node in (before, after)]
        table.add(
            "+" if before is None else "-" if after is None else "" if pair.equal else "~",
            _distinct(node.name for node in nodes),
            ", ".join(pair.changed),
            str(before.op) if before else "",
            str(after.op) if after else "",
            _distinct(shapes_text(node.shapes) for node in nodes),
            change(*(node.parameters if node else 0 for node in (before, after))),
            _distinct(map(scaled, macs)),
        )
    return table


def _distinct(texts: Iterable[str]) -> str:
    """The one text there is, or both where they differ."""
    return " -> ".join(dict.fromkeys(texts))


def _totals(before: Graph, after: Graph) -> Table:
    table = Table(("total", before.name, after.name, "ratio"), (before.name, after.name, "ratio"))
    table.add("layers", str(len(before.layers)), str(len(after.layers)), ratio(len(before.layers), len(after.layers)))
    params = before.parameters, after.parameters
    table.add("parameters", *(f"{number:,}" for number in params), ratio(*params))
    macs = before.macs, after.macs
    table.add("MACs", *map(scaled, macs), ratio(*macs))
    return table


def _document(before: Graph, after: Graph, pairs: list[Pair]) -> dict[str, Any]:
    return {
        "before": {"name": before.name, "params": before.parameters, "macs": before.macs},
        "after": {"name": after.name, "params": after.parameters, "macs": after.macs},
        "layers": [_change(pair) for pair in pairs],
    }


def _change(pair: Pair) -> dict[str, Any]:
    before, after = (node and node_document(node) for node in (pair.before, pair.after))
    return {"changed": list(pair.changed), "before": before, "after": after}
