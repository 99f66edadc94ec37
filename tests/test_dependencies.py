"""What the package imports is what its users are told to install."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import spdbuild

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def names(requirements: list[str]) -> set[str]:
    """Names of the required packages, in small letters."""
    return {re.split(r"[<>=]", line)[0].lower() for line in requirements}


def declared() -> set[str]:
    """Names of the packages that the package or one of its users' extras requires, in small letters."""
    extras = [needed for name, needed in PROJECT["optional-dependencies"].items() if name != "dev"]
    return names(sum(extras, PROJECT["dependencies"]))


def imported() -> set[str]:
    """Names of the modules that the package imports anywhere, without those in them."""
    found: set[str] = set()
    for file in (ROOT / "spdbuild").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_every_package_that_is_imported_is_declared() -> None:
    packages, known = packages_distributions(), declared()
    others = imported() - sys.stdlib_module_names - {"spdbuild"}
    assert {"PIL", "torch"} <= others
    assert not {name for name in others if not known & {p.lower() for p in packages.get(name, [name])}}


def test_what_only_benchmarks_need_is_not_published() -> None:
    """Not under AGPL in particular: `spdbuild doctor` would tell everybody to install it."""
    published = names(sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"]))
    assert not published & {"ultralytics", "torchinfo", "fvcore"}


def test_the_published_version_is_that_of_the_package() -> None:
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    source = ROOT / PYPROJECT["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{spdbuild.__version__}"' in source.read_text().splitlines()
