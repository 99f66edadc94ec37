"""The installed packages whose registered classes a run uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import Any

from spdbuild.errors import InputError
from spdbuild.loading import Architecture
from spdbuild.training.recipe import Recipe
from spdbuild.training.recipe.sections import fields_of
from spdbuild.training.run_folder import RunFolder


def plugins_of(recipe: Recipe, architecture: Architecture) -> dict[str, str]:
    """Name and version of each package that offers a section of the recipe, or an op or pass of the architecture."""
    used = {*_sections(recipe), *map(type, architecture.passes), *(type(node.op) for node in architecture.graph)}
    modules = {cls.__module__.partition(".")[0] for cls in used} - {"spdbuild"}
    if not modules:
        return {}
    return {
        package.name: package.version
        for package in distributions()
        for point in package.entry_points
        if point.group.startswith("spdbuild.") and point.module.partition(".")[0] in modules
    }


def _sections(value: Any) -> Iterator[type[Any]]:
    """The classes of a section and of all sections in it."""
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _sections(entry)
    elif dataclasses.is_dataclass(value):
        yield type(value)
        for field in fields_of(type(value)):
            yield from _sections(getattr(value, field.name))


@contextmanager
def absent_plugins_told(folder: RunFolder) -> Iterator[None]:
    """Around reading a run: say in errors which packages it was made with that are not installed here."""
    try:
        yield
    except InputError as error:
        plugins = folder.began_in().get("plugins")
        absent = [f"{name} {made}" for name, made in plugins.items() if not _installed(name)] if plugins else []
        if absent:
            hint = f"install what the run was made with: {', '.join(absent)}"
            error.problems = tuple(dataclasses.replace(problem, hint=hint) for problem in error.problems)
        raise


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
