"""The text output of a command: to stdout, or to the file of `-o`."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.errors import InputError
from spdbuild.system.files import write_text
from spdbuild.wording.phrases import printable


def say(text: str, *, err: bool = False) -> None:
    """Print a text for people that may quote what a foreign file says, or how it is called."""
    click.echo(printable(text, lines=True), err=err)


def put_text(text: str, output: Path | None) -> None:
    """Write the text to the file, and say so on stderr; without a file to stdout."""
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)
        click.echo(f"wrote {output}", err=True)


def refuse_existing(output: Path | None) -> None:
    """Raise InputError if the file exists: for a command whose output the user goes on to edit."""
    if output is not None and output.exists():
        raise InputError(f"{output} exists", hint="give another file; this command replaces none")
