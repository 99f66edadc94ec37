"""Calls as users write them, bound to the fields of a dataclass: ops, passes, and whatever else a registry holds.

A field's type says what it accepts; `None` as a default means "not given" and is never written.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeVar, Union

from spdbuild.errors import ArgumentError, nearest
from spdbuild.text.schema import describe

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Signature:
    """The arguments that a call takes, in order; those in `required` have no default."""

    name: str
    arguments: tuple[str, ...]
    required: frozenset[str]

    def bind(self, positional: int, named: Sequence[str]) -> list[str]:
        """The names of the given arguments, the positional ones first; ArgumentError names the first misfit."""
        if positional > len(self.arguments):
            count = len(self.arguments)
            takes = "no arguments" if not count else "1 argument" if count == 1 else f"{count} arguments"
            listed = f": {', '.join(self.arguments)}" if count else ""
            raise ArgumentError(f"{self.name}() takes {takes}{listed}; got {positional}")
        bound = list(self.arguments[:positional])
        for name in named:
            if name not in self.arguments:
                raise ArgumentError(
                    f"{self.name}() has no argument '{name}'", argument=name, hint=nearest(name, self.arguments)
                )
            if name in bound:
                raise ArgumentError(f"{self.name}() gets the argument '{name}' twice", argument=name)
            bound.append(name)
        missing = [name for name in self.arguments if name in self.required and name not in bound]
        if missing:
            raise ArgumentError(f"{self.name}() needs the argument '{missing[0]}'")
        return bound


def signature(cls: type[Any]) -> Signature:
    """The signature of a registered dataclass."""
    fields = [f for f in dataclasses.fields(cls) if f.init]
    required = frozenset(f.name for f in fields if default_of(f) is dataclasses.MISSING)
    return Signature(getattr(cls, "name", cls.__name__), tuple(f.name for f in fields), required)


def construct(cls: type[T], values: Mapping[str, Any]) -> T:
    """An instance of the dataclass `cls`; each value is checked against its field's type."""
    hints = type_hints(cls)
    return cls(**{name: fit(value, hints[name], name) for name, value in values.items()})


def type_hints(cls: Any, *, annotated: bool = False) -> dict[str, Any]:
    """The resolved types of a dataclass's fields; annotated: with the metadata of `Annotated`."""
    return _type_hints(cls, annotated)


@cache
def _type_hints(cls: Any, annotated: bool) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=annotated)


def fit(value: Any, hint: Any, name: str) -> Any:
    """`value` as the type `hint` asks for, or an ArgumentError that names the argument."""
    fitted = _fit(value, hint)
    if fitted is _MISFIT:
        choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
        near = nearest(value, map(str, choices)) if choices and isinstance(value, str) else ""
        raise ArgumentError(f"{name} must be {describe_type(hint)}, got {describe(value)}", argument=name, hint=near)
    return fitted


class _Misfit:
    """What `_fit` returns for a value that does not fit; None is an ordinary value."""


_MISFIT = _Misfit()


def _fit(value: Any, hint: Any) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return next((fitted for kind in inner if (fitted := _fit(value, kind)) is not _MISFIT), _MISFIT)
    if origin is Literal:
        return value if any(value == choice and type(value) is type(choice) for choice in inner) else _MISFIT
    if origin is tuple:
        return _fit_tuple(value, inner)
    if origin in (dict, Mapping):
        return _fit_mapping(value, inner[1])
    if hint is type(None):
        return None if value is None else _MISFIT
    if hint is float:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else _MISFIT
    if hint is int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else _MISFIT
    return value if isinstance(value, hint) else _MISFIT


def _fit_mapping(value: Any, kind: Any) -> Any:
    if not isinstance(value, Mapping):
        return _MISFIT
    fitted = {key: _fit(item, kind) for key, item in value.items()}
    return _MISFIT if any(item is _MISFIT for item in fitted.values()) else fitted


def _fit_tuple(value: Any, inner: tuple[Any, ...]) -> Any:
    repeated = len(inner) == 2 and inner[1] is Ellipsis
    if isinstance(value, str) and repeated and inner[0] is str:
        return (value,)
    if not isinstance(value, list | tuple) or (not repeated and len(value) != len(inner)):
        return _MISFIT
    kinds: Iterable[Any] = [inner[0]] * len(value) if repeated else inner
    fitted = tuple(_fit(item, kind) for item, kind in zip(value, kinds, strict=True))
    return _MISFIT if any(item is _MISFIT for item in fitted) else fitted


def describe_type(hint: Any) -> str:
    """A field's type in the words of a message: a whole number, one of 'before', 'after'."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    if hint in words:
        return words[hint]
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(kind) for kind in inner if kind is not type(None))
    if origin is Literal:
        quoted = [f"'{choice}'" if isinstance(choice, str) else describe(choice) for choice in inner]
        return f"one of {', '.join(quoted)}" if len(quoted) > 1 else quoted[0]
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return f"a list of {_plural(describe_type(inner[0]))}"
        return "a pair [" + ", ".join(describe_type(kind) for kind in inner) + "]"
    if origin in (dict, Mapping):
        return "a mapping"
    return getattr(hint, "__name__", str(hint))


def choices(hint: Any) -> list[str]:
    """The words that a type allows."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return list(map(str, inner))
    if origin in (Union, types.UnionType):
        return [word for kind in inner for word in choices(kind)]
    return []


def _plural(words: str) -> str:
    return words.removeprefix("a ") + "s" if words.startswith("a ") and "[" not in words else words


def arguments_of(instance: Any) -> dict[str, Any]:
    """The arguments that make `instance`, by name, in order."""
    return {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance) if field.init}


def call_text(instance: Any) -> str:
    """The call that makes `instance`, with the arguments that differ from their defaults."""
    parts = []
    positional = True
    for field in dataclasses.fields(instance):
        if not field.init:
            continue
        value = getattr(instance, field.name)
        default = default_of(field)
        if default is not dataclasses.MISSING and value == default and type(value) is type(default):
            positional = False
            continue
        required = default is dataclasses.MISSING and positional
        parts.append(literal(value) if required else f"{field.name}={literal(value)}")
    return f"{instance.name}({', '.join(parts)})"


def literal(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; dataclasses.MISSING if it must be given."""
    if field.default is not dataclasses.MISSING:
        return field.default
    factory: Callable[[], Any] | Any = field.default_factory
    return factory() if factory is not dataclasses.MISSING else dataclasses.MISSING
