"""The fields of a dataclass as options of a command, so that an option is described in one place."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from spdbuild.cli.options import repeated_option
from spdbuild.declaring.arguments import choices, describe_type, fit, literal, type_hints
from spdbuild.declaring.docstrings import documentation
from spdbuild.text.source import parse_scalar


class FieldType(click.ParamType):  # type: ignore[type-arg]
    """A value that is written as in YAML and must fit the type of a field; else ArgumentError says what fits."""

    def __init__(self, name: str, hint: Any) -> None:
        self.name, self.hint = name, hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return fit(parse_scalar(value), self.hint, f"--{self.name}") if isinstance(value, str) else value
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in choices(self.hint) if word.startswith(incomplete)]


def field_options(cls: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for every field of `cls`; what is not given reaches the function as None, or as an empty tuple."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(dataclasses.fields(cls)):
            function = _option(cls, field)(function)
        return function

    return decorate


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; the words of repeated ones are split at commas."""
    chosen = {name: value for name, value in options.items() if value not in (None, ())}
    return {name: tuple(_words(value)) if isinstance(value, tuple) else value for name, value in chosen.items()}


def _option(cls: type[Any], field: dataclasses.Field[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    flag, hint = f"--{field.name.replace('_', '-')}", type_hints(cls)[field.name]
    text = _sentence(documentation(cls).arguments[field.name])
    if hint is bool:
        return click.option(flag, field.name, is_flag=True, default=None, help=text)
    if typing.get_origin(hint) is tuple:
        return repeated_option(flag, field.name, metavar="PATTERN,...", help=text)
    help_text = f"{text} [default: {literal(field.default).strip(chr(34))}]"
    return click.option(flag, field.name, type=FieldType(field.name, hint), metavar=_metavar(hint), help=help_text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _metavar(hint: Any) -> str:
    words = choices(hint)
    numbers = ["N"] if int in typing.get_args(hint) else []
    return f"[{'|'.join(words + numbers)}]" if words else describe_type(hint).split()[-1].upper()


def _words(values: tuple[str, ...]) -> Iterator[str]:
    for value in values:
        yield from (word.strip() for word in value.split(",") if word.strip())
