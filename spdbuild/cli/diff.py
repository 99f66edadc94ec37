"""`spdbuild diff`: two architectures, layer by layer and in total."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, json_option, markdown_option
from spdbuild.cli.tables import show_table
from spdbuild.wording.quantities import change, ratio, scaled, shapes_text
from spdbuild.wording.tables import Table

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
def command(before: str, after: str, choice: Choice, everything: bool, markdown: bool, as_json: bool) -> None:
    """Compare two architectures layer by layer: what was changed, added (+) and removed (-), and what it costs.

    BEFORE and AFTER are paths, built-in names, or folders of runs. Layers are matched by their names and, where these
    differ, by the order of their ops. The options apply to both.
    """
    from spdbuild.analysis.alignment import align

    one, other = choice.load(before).graph, choice.load(after).graph
    pairs = [pair for pair in align(one, other) if everything or not pair.equal]
    if as_json:
        print_json(_document(one, other, pairs))
    elif markdown:
        click.echo(f"{_table(pairs).markdown()}\n{_totals(one, other).markdown()}", nl=False)
    else:
        if pairs:
            show_table(_table(pairs))
        click.echo("" if pairs else "the layers are equal\n", nl=bool(pairs))
        show_table(_totals(one, other))


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
    from spdbuild.graph.totals import totals_table

    table = totals_table(before, after, (before.name, after.name))
    layers = len(before.layers), len(after.layers)
    table.rows.insert(0, ("layers", *map(str, layers), ratio(*layers)))
    return table


def _document(before: Graph, after: Graph, pairs: list[Pair]) -> dict[str, Any]:
    from spdbuild.graph.totals import totals

    return {
        "before": {"name": before.name, **totals(before)},
        "after": {"name": after.name, **totals(after)},
        "layers": [pair.to_dict() for pair in pairs],
    }
