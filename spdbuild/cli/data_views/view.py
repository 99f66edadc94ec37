"""What a command prints about a data set."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from PIL.Image import Image

from spdbuild.errors import InputError


@dataclass(frozen=True)
class View:
    """The output as text for people and as a JSON document; sound: whether every file can be used."""

    text: str
    document: dict[str, Any]
    sound: bool = True


def view_of(data_set: Any, command: str) -> View:
    """What the function `command` in the file of the data set's task gives."""
    view: View = getattr(_views(data_set), command)(data_set)
    return view


def plot_of(data_set: Any) -> Image:
    """The picture that the task's file draws of the counts; InputError if it draws none."""
    views = _views(data_set)
    if not hasattr(views, "plot"):
        raise InputError(f"there is no plot of data sets for {data_set.task}")
    picture: Image = views.plot(data_set)
    return picture


def _views(data_set: Any) -> ModuleType:
    """The file of the data set's task; InputError for a task of a plug-in, which has none."""
    name = f"spdbuild.cli.data_views.{data_set.task}"
    if importlib.util.find_spec(name) is None:
        raise InputError(f"there is no view of data sets for {data_set.task}")
    return importlib.import_module(name)


def listed(texts: Iterable[str], most: int = 20) -> list[str]:
    """Indented lines, the first `most` of them; --json has all."""
    lines = [f"    {text}" for text in texts]
    return lines[:most] + ([f"    and {len(lines) - most:,} more"] if len(lines) > most else [])


def number(count: int, what: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")
