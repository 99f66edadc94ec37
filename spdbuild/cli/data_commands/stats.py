"""`spdbuild data stats`: the numbers of a data set."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from spdbuild.cli.data_commands.target import data_set_of

if TYPE_CHECKING:
    from spdbuild.data.statistics import SplitStatistics


@click.command("stats")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON on stdout.")
def command(target: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Count the images of TARGET, and give the mean and deviation that `normalize` needs.

    TARGET is a folder, a recipe, or the data set `digits` or `generated`.
    """
    from spdbuild.data.statistics import statistics

    splits = statistics(data_set_of(target, overrides))
    if as_json:
        from spdbuild.cli.json_output import print_json

        print_json({name: asdict(split) for name, split in splits.items()})
        return
    _show_classes(splits)
    for name, split in splits.items():
        click.echo(_line(name, split))


def _show_classes(splits: dict[str, SplitStatistics]) -> None:
    from spdbuild.cli.tables import Table

    table = Table(["class", *splits], numbers=list(splits))
    for name in next(iter(splits.values())).classes:
        table.add(name, *(f"{split.classes[name]:,}" for split in splits.values()))
    table.add("all", *(f"{split.images:,}" for split in splits.values()))
    table.show()


def _line(name: str, split: SplitStatistics) -> str:
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (split.mean, split.std))
    skipped = f", {split.skipped:,} skipped" if split.skipped else ""
    return f"{name}: {split.size[1]}x{split.size[0]} pixels, mean [{mean}], std [{std}]{skipped}"
