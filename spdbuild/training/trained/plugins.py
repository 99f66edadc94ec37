"""The installed packages whose registered classes a run uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from spdbuild.errors import InputError, Problem
from spdbuild.loading import Architecture
from spdbuild.training.folder.environment import installed_version
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.recipe import Recipe
from spdbuild.training.recipe.sections import fields_of


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
    if isinstance(value, Mapping):
        yield from _sections(list(value.values()))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _sections(entry)
    elif dataclasses.is_dataclass(value):
        yield type(value)
        for field in fields_of(type(value)):
            yield from _sections(getattr(value, field.name))


@contextmanager
def origin_told(folder: RunFolder) -> Iterator[None]:
    """Around reading a run: say in errors what it was made with, as far as that can be their reason.

    That is the version of spdbuild, for errors in the run's own files, and packages that are not installed here.
    """
    try:
        yield
    except InputError as error:
        facts = folder.began_in()
        absent = [
            f"{name} {made}" for name, made in facts.get("plugins", {}).items() if installed_version(name) is None
        ]
        if absent:
            hint = f"install what the run was made with: {', '.join(absent)}"
            error.problems = tuple(dataclasses.replace(problem, hint=hint) for problem in error.problems)
        if facts:
            error.problems = tuple(_with_version(problem, folder, facts) for problem in error.problems)
        raise


def _with_version(problem: Problem, folder: RunFolder, facts: Mapping[str, Any]) -> Problem:
    """The problem; if it is in a file of the run, with the version of spdbuild that wrote it."""
    if problem.location is None or not Path(problem.location.file).is_relative_to(folder.path):
        return problem
    commit = f" (commit {str(facts['spdbuild_commit'])[:10]})" if facts.get("spdbuild_commit") else ""
    told = f"this run was written by spdbuild {facts['versions'].get('spdbuild', 'of an unknown version')}{commit}"
    return dataclasses.replace(problem, trail=(*problem.trail, told))
