"""Advice for mistakes on the command line that click finds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import click


def advised(error: click.UsageError, arguments: Sequence[str]) -> click.UsageError:
    """The error, with what to write where a key of the recipe was given as an option: `--epochs 3`.

    arguments: all those of the command.
    """
    overrides = next((p for p in error.ctx.command.params if p.name == "overrides"), None) if error.ctx else None
    if not isinstance(error, click.NoSuchOption) or overrides is None or not error.option_name.startswith("--"):
        return error
    from spdbuild.training.recipe.hints import typed

    assert error.ctx is not None
    known = {word for param in error.ctx.command.params for word in param.opts}
    keys = [typed(name.removeprefix("--").replace("-", "_"), value) for name, value in _options(arguments, known)]
    written = " ".join(f"--set {key}" if isinstance(overrides, click.Option) else key for key in keys if key)
    if not written:
        return error
    message = f"There is no option {error.option_name}: keys of a recipe are written {written}"
    return click.UsageError(message, error.ctx)


def _options(arguments: Sequence[str], known: Collection[str]) -> list[tuple[str, str]]:
    """The unknown options and their values: `--epochs 3`, `--epochs=3`; `true` for one that has none."""
    found = []
    for word, after in zip(arguments, (*arguments[1:], "--"), strict=True):
        name, equals, value = word.partition("=")
        if word.startswith("--") and name not in known:
            found.append((name, value if equals else "true" if after.startswith("--") else after))
    return found
