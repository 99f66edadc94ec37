"""A group whose commands are the files of a folder and those that installed packages add."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NoReturn

import click

from spdbuild.declaring.registry import entry_point_text
from spdbuild.errors import InputError, UnknownNameError, first_line, nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class NamedCommands(click.Group):
    """A group that answers an unknown name with the nearest."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            path = f"{ctx.info_name} {name}" if ctx.parent else name
            raise UnknownNameError(f"there is no command '{path}'", hint=nearest(name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)


class CommandGroup(NamedCommands):
    """The commands of one package, by name: each file with a `command` is one, imported on demand.

    A file is named like its command, so that no other is imported to find it; if that is impossible, all are searched.

    package: where the files are.
    entry_points: the entry-point group under which installed packages offer more, each a click.Command; read only when
        a name is unknown or all are listed, because reading entry points takes longer than everything else here.
    """

    package: ClassVar[str]
    entry_points: ClassVar[str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._built_in(), *self._offered()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self._built_in(cmd_name).get(cmd_name) or self._built_in().get(cmd_name)
        if found is not None:
            return found
        points = self._offered().get(cmd_name)
        return None if points is None else _loaded(points)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in the help, followed by those of installed packages whose names are taken."""
        super().format_commands(ctx, formatter)
        taken = self._built_in().keys() & self._offered()
        if taken:
            with formatter.section("Left out"):
                why = f"an entry point of {self.entry_points} has the name of a built-in command"
                formatter.write_dl([(name, why) for name in sorted(taken)])

    def _built_in(self, only: str = "") -> dict[str, click.Command]:
        """The commands of the files; with `only`, that of this file alone."""
        found = {}
        for module in pkgutil.iter_modules(importlib.import_module(self.package).__path__):
            if only in ("", module.name):
                loaded = importlib.import_module(f"{self.package}.{module.name}")
                if hasattr(loaded, "command"):
                    found[loaded.command.name] = loaded.command
        return found

    def _offered(self) -> dict[str, list[EntryPoint]]:
        from importlib.metadata import entry_points

        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.entry_points):
            found.setdefault(point.name, []).append(point)
        return found


def _loaded(points: Sequence[EntryPoint]) -> click.Command:
    """The command that entry points of one name offer; if there is none, one that says why."""
    point = points[0]
    where = entry_point_text(point)
    if len(points) > 1:
        return _refusing(point.name, f"several offer the command: {' and '.join(map(entry_point_text, points))}")
    try:
        command = point.load()
    except Exception as error:  # whatever third-party code raises when it is imported
        return _refusing(point.name, f"{where} does not load: {first_line(error)}")
    return command if isinstance(command, click.Command) else _refusing(point.name, f"{where} is no click.Command")


def _refusing(name: str, why: str) -> click.Command:
    """A command that, whatever its arguments, only says why it is not available."""

    def refuse() -> NoReturn:
        raise InputError(why)

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=refuse, short_help=why, add_help_option=False, context_settings=anything)
