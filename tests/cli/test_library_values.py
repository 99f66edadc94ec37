"""Options whose values and defaults the library has, too, where importing it for a help text would take seconds."""

from __future__ import annotations

from typing import get_args

import click

from spdbuild.cli.data_commands.convert import command as convert
from spdbuild.cli.predict import command as predict
from spdbuild.data.detection.convert import Format
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.training.report.outputs import WRITERS


def option(command: click.Command, name: str) -> click.Option:
    return next(param for param in command.params if isinstance(param, click.Option) and param.name == name)


def test_predict_saves_in_all_forms_that_there_are() -> None:
    kind = option(predict, "forms").type
    assert isinstance(kind, click.Choice)
    assert list(kind.choices) == list(WRITERS)


def test_data_sets_are_converted_to_all_formats_that_there_are() -> None:
    kind = option(convert, "format").type
    assert isinstance(kind, click.Choice)
    assert tuple(kind.choices) == get_args(Format)


def test_windows_are_cut_by_the_defaults_of_a_recipe() -> None:
    context = click.Context(convert)
    defaults = {
        name: option(convert, name).get_default(context) for name in TileOptions.__dataclass_fields__ if name != "size"
    }
    assert TileOptions(**defaults) == TileOptions()
