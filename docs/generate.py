"""Write the pages that are made from the code: ops.md, passes.md, commands.md and the JSON Schemas.

    python docs/generate.py

tests/test_docs.py fails where a page is not what this writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from textwrap import dedent
from typing import Any

import click

from spdbuild.cli import spdbuild
from spdbuild.cli.ops import example_text
from spdbuild.cli.reference import Reference, reference
from spdbuild.cli.schema import schema_text
from spdbuild.ops import OPS
from spdbuild.passes import PASSES

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code; changes made here are lost. -->"


def pages() -> dict[str, str]:
    """Text of each generated file by its path below docs/."""
    return {
        "ops.md": _page("Ops", _ops()),
        "passes.md": _page("Passes", _passes()),
        "commands.md": _page("Commands", _commands(spdbuild, ("spdbuild",))),
        "schema/architecture.json": schema_text("architecture"),
        "schema/recipe.json": schema_text("recipe"),
    }


def _page(title: str, parts: Iterator[str]) -> str:
    return "\n\n".join([f"# {title}", NOTE, *parts]) + "\n"


def _ops() -> Iterator[str]:
    yield (
        "What a line of an architecture can call. Shapes are (N, C, H, W): images, channels, height, width; in "
        "examples without N. `argument=...` has a default that depends on other arguments."
    )
    members = sorted((op for _, op in OPS.items()), key=lambda op: op.family)
    for family, ops in groupby(members, key=lambda op: op.family):
        yield f"## {family.capitalize()}"
        for op in ops:
            example = re.sub(r"^(.+?\)) makes", r"`\1` makes", example_text(op))
            yield from _entry(reference(op), f"Example: {example}.")


def _passes() -> Iterator[str]:
    yield "What rewrites a graph: under `passes:` in a file, or from Python. `spdbuild convert` runs `strided_to_spd`."
    for _, step in PASSES.items():
        yield from _entry(reference(step))


def _entry(told: Reference, *more: str) -> Iterator[str]:
    yield f"### {told.name}"
    yield f"`{told.call}`"
    yield _escaped(told.summary)
    if told.arguments:
        yield "\n".join(f"- `{argument.name}`: {_escaped(argument.text)}" for argument in told.arguments)
    if told.body:
        yield _escaped(told.body)
    yield from more
    yield f"Source: {_escaped(told.source)}"


def _commands(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    if len(path) > 1:
        yield f"{'#' * len(path)} {' '.join(path)}"
        yield f"`{' '.join([*path, *command.collect_usage_pieces(context)])}`"
        yield _reflowed(command.help or "")
        options = "\n".join(_options(command))
        yield from [options] if options else []
        yield from _verbatim(command.epilog or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


def _options(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield f"- `{', '.join([*parameter.opts, *parameter.secondary_opts])}`: {_escaped(parameter.help or '')}"


def _reflowed(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(_escaped(" ".join(paragraph.split())) for paragraph in paragraphs)


def _verbatim(epilog: str) -> Iterator[str]:
    text = epilog.replace("\b\n", "").strip("\n")
    if text:
        yield f"```text\n{text}\n```"


def _escaped(text: str) -> str:
    """`text` with its stars as stars, and paragraphs that are indented as code in fences."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    if text.startswith("    "):
        return f"```text\n{dedent(text)}\n```"
    return _without_emphasis(text)


def _without_emphasis(text: str) -> str:
    def escape(found: re.Match[str]) -> Any:
        return found[1] or r"\*"

    return re.sub(r"(`+[^`]+`+)|\*", escape, text)


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
