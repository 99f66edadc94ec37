"""`spdbuild ops`: what a line of an architecture can call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import json_option
from spdbuild.cli.reference import reference, text_of
from spdbuild.cli.tables import show_table
from spdbuild.shape import Shape
from spdbuild.wording.quantities import shapes_text
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.ops import Op


@click.command("ops", epilog="Example: spdbuild ops space_to_depth")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the ops, or describe one in full: arguments, shapes, an example, and where it was published."""
    from spdbuild.ops import OPS

    if as_json:
        print_json(_document(OPS[name]) if name else [_document(op) for _, op in OPS.items()])
    elif name:
        click.echo(text_of(reference(OPS[name]), f"Example: {example_text(OPS[name])}"))
    else:
        show_table(_table([op for _, op in OPS.items()]))


def example_text(op: type[Op]) -> str:
    """The example of an op: `conv2d(16, kernel=3, stride=2) makes 16x5x6 of 8x9x12; 1,152 parameters, 34,560 MACs`."""
    example = op.example()
    output = example.op.shape(*example.inputs)
    made = shapes_text([output] if isinstance(output, Shape) else output)
    counts = f"{example.op.parameters(*example.inputs):,} parameters, {example.op.macs(*example.inputs):,} MACs"
    return f"{example.op} makes {made} of {shapes_text(example.inputs)}; {counts}"


def _table(ops: list[type[Op]]) -> Table:
    table = Table(("family", "op", "what it does"))
    for op in sorted(ops, key=lambda op: op.family):
        table.add(op.family, op.name, reference(op).summary)
    return table


def _document(op: type[Op]) -> dict[str, Any]:
    return {"family": op.family, **reference(op).to_dict(), "example": example_text(op)}
