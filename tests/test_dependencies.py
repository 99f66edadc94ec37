"""What the package imports is what its users are told to install."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Extras of those who change spdbuild.
INTERNAL = ("dev", "benchmark")


def declared() -> set[str]:
    """Names of the packages that the package or one of its extras requires, in small letters."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [needed for name, needed in project["optional-dependencies"].items() if name not in INTERNAL]
    return {re.split(r"[<>=]", line)[0].lower() for line in sum(extras, project["dependencies"])}


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
