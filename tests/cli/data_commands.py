"""`spdbuild data` as functions."""

from __future__ import annotations

from click.testing import CliRunner, Result

from spdbuild.cli import spdbuild
from spdbuild.cli.data import command


def run(*arguments: object) -> Result:
    """What the shell sees of `spdbuild data ...`: errors are printed."""
    return CliRunner().invoke(spdbuild, ["data", *map(str, arguments)])


def run_raising(*arguments: object) -> Result:
    """The same command without what prints its errors: the result has them as `exception`."""
    return CliRunner().invoke(command, list(map(str, arguments)))
