"""The one JSON document of `--json`."""

from __future__ import annotations

from typing import Any

import click

from spdbuild.text.json_text import json_text


def print_json(document: Any) -> None:
    """Print `document` on stdout."""
    click.echo(json_text(document, indent=2))
