"""`spdbuild schema`: the JSON Schema of a kind of file, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from spdbuild.cli.options import output_option
from spdbuild.cli.output import put_text

_EXAMPLES = """\b
Example:
  spdbuild schema architecture -o architecture.json
A file that begins with the line below is then checked and completed by editors that know the YAML language server:
  # yaml-language-server: $schema=architecture.json
"""


@click.command("schema", epilog=_EXAMPLES)
@click.argument("kind", type=click.Choice(["architecture", "recipe"]))
@output_option("the schema")
def command(kind: str, output: Path | None) -> None:
    """Print the JSON Schema (draft 2020-12) of architectures or recipes."""
    put_text(schema_text(kind), output)


def schema_text(kind: str) -> str:
    """The schema of "architecture" or "recipe" as a JSON text."""
    return json.dumps(_schema(kind), indent=2) + "\n"


def _schema(kind: str) -> dict[str, Any]:
    if kind == "architecture":
        from spdbuild.architecture.document import architecture_schema

        return architecture_schema()
    from spdbuild.training.recipe import recipe_schema

    return recipe_schema()
