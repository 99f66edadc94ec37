"""A text that a command makes: on stdout, or in the file of `-o`."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.errors import InputError
from spdbuild.files import write_text


def put_text(text: str, output: Path | None) -> None:
    """Write the text to the file, and say so on stderr; without a file to stdout."""
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"wrote {output}", err=True)


def refuse_existing(output: Path | None) -> None:
    """InputError if the file is there: for a command that makes what a person then changes."""
    if output is not None and output.exists():
        raise InputError(f"{output} exists", hint="give another file; this command replaces none")
