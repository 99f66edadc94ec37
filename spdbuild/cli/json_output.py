"""The one JSON document of `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from spdbuild.text.json_text import json_text

if TYPE_CHECKING:
    from spdbuild.graph import Node


def print_json(document: Any) -> None:
    """Print `document` on stdout."""
    click.echo(json_text(document, indent=2))


def node_document(node: Node) -> dict[str, Any]:
    """A node of a graph, with what it costs."""
    return {
        "name": node.name,
        "op": node.op.name,
        "call": str(node.op),
        "inputs": list(map(str, node.inputs)),
        "shapes": [list(shape) for shape in node.shapes],
        "params": node.parameters,
        "macs": node.macs,
    }
