"""`spdbuild data`: look at data sets; each file in `data_commands` that has a `command` is one of its commands."""

from __future__ import annotations

import importlib
import pkgutil

import click

from spdbuild.cli import data_commands
from spdbuild.errors import UnknownNameError, nearest


class DataCommands(click.Group):
    """The commands in `data_commands`, named like their files."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = (module.name for module in pkgutil.iter_modules(data_commands.__path__))
        return sorted(name for name in found if self.get_command(ctx, name))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in {module.name for module in pkgutil.iter_modules(data_commands.__path__)}:
            return None
        loaded = importlib.import_module(f"{data_commands.__name__}.{cmd_name}")
        command: click.Command | None = getattr(loaded, "command", None)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            raise UnknownNameError(f"there is no command 'data {args[0]}'", hint=nearest(args[0], known))
        return super().resolve_command(ctx, args)


@click.command("data", cls=DataCommands)
def command() -> None:
    """Check, count and convert data sets."""
