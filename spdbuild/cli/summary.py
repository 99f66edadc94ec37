"""`spdbuild summary`: what a network costs, as a tree of its blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, Choice, FormOption, choice_options, json_option, markdown_option
from spdbuild.cli.tables import show_table
from spdbuild.graph.names import name_parts
from spdbuild.wording.quantities import scaled, shapes_text, share
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.analysis.cost import LayerCost, Summary

CONVENTION = "MACs: multiply-accumulates of convolutions and linear layers, nothing else; FLOPs = 2 x MACs; one sample."

_EXAMPLES = """\b
Examples:
  spdbuild summary resnet50
  spdbuild summary yolov5 --variant s --depth 3
  spdbuild summary resnet50 --input 3,64,64 --json
"""


@click.command("summary", epilog=_EXAMPLES)
@click.argument("architecture", type=ARCHITECTURE)
@choice_options
@click.option("--depth", type=click.IntRange(min=1), default=2, show_default=True, help="Levels of blocks to show.")
@markdown_option
@click.option("--csv", cls=FormOption, is_flag=True, help="Print every layer as comma-separated values.")
@json_option
def command(architecture: str, choice: Choice, depth: int, markdown: bool, csv: bool, as_json: bool) -> None:
    """Shapes, parameters, MACs and FLOPs of an architecture, layer by layer.

    ARCHITECTURE is a path, a built-in name, or the folder of a run. The last line has the totals; activations are the
    outputs of all layers, peak is the most of them alive at once in inference. No tensor is allocated.
    """
    from spdbuild.api import summary

    costs = summary(choice.load(architecture))
    if as_json:
        print_json(costs.to_dict())
    elif csv:
        click.echo(_layers(costs).csv(), nl=False)
    elif markdown:
        click.echo(_blocks(costs, depth).markdown(), nl=False)
        click.echo(f"\n{CONVENTION}\n\n{costs}")
    else:
        show_table(_blocks(costs, depth))
        click.echo(f"\n{CONVENTION}\n{costs}")


@dataclass
class _Branch:
    """A block, or a layer if nothing is inside; `layers` are all within, in the order of the network."""

    label: str
    layers: list[LayerCost] = field(default_factory=list)
    inside: dict[str, _Branch] = field(default_factory=dict)

    def add(self, parts: Sequence[str], layer: LayerCost) -> None:
        self.layers.append(layer)
        if parts:
            self.inside.setdefault(parts[0], _Branch(parts[0])).add(parts[1:], layer)

    def rows(self, depth: int, level: int = 0) -> Iterator[tuple[int, _Branch]]:
        """The branches down to `depth` levels, each with its level."""
        for branch in self.inside.values():
            yield level, branch
            if level + 1 < depth:
                yield from branch.rows(depth, level + 1)


def _blocks(costs: Summary, depth: int) -> Table:
    root = _Branch("")
    for layer in costs.layers:
        root.add(name_parts(layer.name), layer)
    table = Table(("layer", "op", "output", "params", "MACs", "share"), numbers=("params", "MACs", "share"))
    for level, branch in root.rows(depth):
        table.add(f"{'  ' * level}{branch.label}", *_cells(branch, costs))
    return table


def _cells(branch: _Branch, costs: Summary) -> Iterator[str]:
    last = branch.layers[-1]
    params, macs = sum(layer.parameters for layer in branch.layers), sum(layer.macs for layer in branch.layers)
    yield f"({len(branch.layers)} layers)" if branch.inside else last.op
    yield shapes_text(last.shapes)
    yield f"{params:,}" if params else ""
    yield scaled(macs) if macs else ""
    yield share(macs, costs.macs) if macs else ""


def _layers(costs: Summary) -> Table:
    table = Table(("name", "op", "inputs", "output", "params", "macs", "flops", "share"))
    for layer in costs.layers:
        numbers: list[Any] = [layer.parameters, layer.macs, 2 * layer.macs, f"{layer.macs / (costs.macs or 1):.6f}"]
        table.add(layer.name, layer.op, " ".join(layer.inputs), shapes_text(layer.shapes), *map(str, numbers))
    return table
