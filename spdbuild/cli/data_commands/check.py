"""`spdbuild data check`: look at every image of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from spdbuild.cli.data_commands.target import data_set_of

if TYPE_CHECKING:
    from spdbuild.data.checking import Check, SplitCheck

#: So many files are named; --json names all.
_SHOWN = 20


@click.command("check")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, target: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Look at every image of TARGET: a folder, a recipe, or the data set `digits` or `generated`.

    Says how many images each split and class has, their sizes and modes, which files cannot be used and why, and which
    are equal. Ends with 1 if a file cannot be used.
    """
    from spdbuild.data.checking import check

    report = check(data_set_of(target, overrides))
    if as_json:
        from spdbuild.cli.json_output import print_json

        print_json({"sound": report.sound, **asdict(report)})
    else:
        click.echo(report_text(report))
    ctx.exit(0 if report.sound else 1)


def report_text(report: Check) -> str:
    """The report as lines for people."""
    lines = [line for name, split in report.splits.items() for line in _split_lines(name, split)]
    if report.leaks:
        lines += [
            f"{_number(len(report.leaks), 'image')} both in train and test:",
            *_listed(map(" = ".join, report.leaks)),
        ]
    bad = sum(len(split.bad) for split in report.splits.values())
    lines.append(f"{_number(bad, 'file')} cannot be used" if bad else "every file can be used")
    return "\n".join(lines)


def _split_lines(name: str, split: SplitCheck) -> list[str]:
    least, most = min(split.classes.values()), max(split.classes.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    lines = [
        f"{name}: {_number(split.images, 'image')} in {len(split.classes)} classes, {each} a class",
        f"  sizes: {_counts(split.sizes)}",
        f"  modes: {_counts(split.modes)}",
    ]
    if split.bad:
        lines += [f"  {_number(len(split.bad), 'bad file')}:"]
        lines += _listed(f"{file} {reason}" for file, reason in split.bad.items())
    if split.duplicates:
        lines += [f"  {_number(len(split.duplicates), 'group')} of equal files:"]
        lines += _listed(map(" = ".join, split.duplicates))
    return lines


def _counts(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:6])
    return shown + (f" and {len(counts) - 6} more" if len(counts) > 6 else "")


def _listed(texts: Iterable[str]) -> list[str]:
    lines = [f"    {text}" for text in texts]
    return lines[:_SHOWN] + ([f"    and {len(lines) - _SHOWN:,} more"] if len(lines) > _SHOWN else [])


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
