"""An import points down: the layers of the package, and who may use whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: From the ground up. A module may use its own layer only where that is one package.
LAYERS = [
    {"wording"},
    {"errors"},
    {"text", "shape", "system", "boxes", "charts"},
    {"declaring", "pictures", "phases", "console"},
    {"builtin"},
    {"nn"},
    {"ops"},
    {"graph"},
    {"weight_transfer"},
    {"architecture", "passes", "modules", "weights"},
    {"analysis", "diagram"},
    {"data", "losses", "metrics"},
    {"loading"},
    {"importing"},
    {"checking", "conversion", "templates"},
    {"training"},
    {"api", "reporting"},
    {"exporting", "sweeping"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
#: What learns from images knows of no network.
GRAPHS = {"analysis", "diagram", "ops", "graph", "architecture", "passes", "modules", "weights", "weight_transfer"}
#: Who may import torch outside of functions; a test of the command line holds what of them it may import.
WITH_TORCH = {
    "boxes",
    "conversion",
    "data",
    "exporting",
    "importing",
    "losses",
    "metrics",
    "nn",
    "sweeping",
    "training",
    "weight_transfer",
    "weights",
}
FILES = sorted((ROOT / "spdbuild").rglob("*.py"))


def part(file: Path) -> str:
    """The part of the package that a file belongs to: `graph` for spdbuild/graph/node.py, "" for the package itself."""
    first = file.relative_to(ROOT / "spdbuild").parts[0].removesuffix(".py")
    return "" if first in ("__init__", "__main__") else first


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that a file imports anywhere, but for those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def imported_at_once(tree: ast.Module) -> Iterator[str]:
    """Modules that importing a file imports."""
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            yield from imported(ast.Module([statement], []))


def parts_used(names: Iterator[str]) -> set[str]:
    inside = [name.split(".") for name in names if name.startswith("spdbuild.")]
    return {steps[1] for steps in inside if steps[1] in RANK}


def test_every_part_has_a_layer():
    assert len(FILES) > 50
    assert {part(file) for file in FILES} - {""} == set(RANK)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_an_import_points_down(file: Path):
    own = part(file)
    used = parts_used(imported(ast.parse(file.read_text()))) - {own}
    if own:
        assert not {name for name in used if RANK[name] >= RANK[own]}
    if own in {"data", "losses", "metrics"}:
        assert not used & GRAPHS


@pytest.mark.parametrize("depth", [3, 9], ids=["folders", "files"])
def test_nothing_imports_each_other_in_a_circle(depth: int):
    files = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in FILES}

    def unit(module: str) -> str:
        return ".".join(module.split(".")[:depth])

    used: dict[str, set[str]] = {unit(module): set() for module in files}
    for module, file in files.items():
        inside = {name for name in imported(ast.parse(file.read_text())) if name.startswith("spdbuild.")}
        # Each is a module, or what a module defines.
        modules = {name if name in files else name.rpartition(".")[0] for name in inside} - {"spdbuild"}
        used[unit(module)] |= {unit(name) for name in modules} - {unit(module)}
    TopologicalSorter(used).prepare()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_graph_side_imports_torch_inside_functions(file: Path):
    if part(file) not in WITH_TORCH:
        at_once = {name.split(".")[0] for name in imported_at_once(ast.parse(file.read_text()))}
        assert not at_once & {"torch", "torchvision"}


def test_the_only_users_of_a_library():
    users = {
        "yaml": {"text"},
        "jsonschema": {"text"},
        "click": {"cli"},
        "pycocotools": {"metrics", "data"},
        "onnx": {"exporting"},
    }
    for library, allowed in users.items():
        using = {part(f) for f in FILES if library in {n.split(".")[0] for n in imported(ast.parse(f.read_text()))}}
        assert using == allowed, library
