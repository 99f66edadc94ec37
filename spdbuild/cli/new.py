"""`spdbuild new`: a file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.cli.options import ARCHITECTURE, imports_option, output_option
from spdbuild.cli.output import put_text, refuse_existing

_EXAMPLES = """\b
Examples:
  spdbuild new my_network -o my_network.yaml
  spdbuild new my_detector --from yolov5 -o my_detector.yaml
"""


@click.command("new", epilog=_EXAMPLES)
@click.argument("name")
@click.option("--from", "base", type=ARCHITECTURE, help="Copy this architecture, a path or built-in name.")
@imports_option
@output_option("the architecture")
def command(name: str, base: str | None, allow_imports: bool, output: Path | None) -> None:
    """Write an architecture called NAME to start from: a small commented one, or a copy of another.

    It goes to FILE, which must not exist, or to stdout.
    """
    from spdbuild.templates import new_text

    refuse_existing(output)
    folder = None if output is None else output.parent
    put_text(new_text(name, base, folder=folder, allow_imports=allow_imports), output)
