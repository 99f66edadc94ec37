"""What the package offers is what it lists, and nothing is imported before it is used."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spdbuild


def test_every_listed_name_is_there_and_has_a_docstring():
    assert spdbuild.__all__
    for name in spdbuild.__all__:
        assert inspect.getdoc(getattr(spdbuild, name)), name


def test_every_command_that_works_on_networks_and_runs_is_one_call():
    # The others print what is known (`ls`, `schema`, `doctor`), write a file to start from, or are about data and time.
    verbs = [
        "average_weights",
        "check",
        "convert",
        "diff",
        "draw",
        "evaluate",
        "export",
        "export_weights",
        "fold",
        "import_weights",
        "load",
        "predict",
        "report",
        "resume",
        "summary",
    ]
    verbs += ["sweep", "train", "transfer", "verify"]
    assert set(verbs) <= set(spdbuild.__all__)


def test_what_a_call_takes_and_returns_can_be_named():
    # Of torch and Python, texts that a notebook shows as a picture, and unions under names of their own.
    others = {"Any", "Iterable", "Iterator", "Mapping", "Module", "None", "Path", "Sequence", "Tensor"}
    others |= {"ModuleOptions", "Overrides", "Precision", "Source", "SpdOptions", "Svg", "Unpack", "Weights"}
    for name in spdbuild.__all__:
        if inspect.isfunction(call := getattr(spdbuild, name)):
            signature = inspect.signature(call)
            told = [signature.return_annotation, *(one.annotation for one in signature.parameters.values())]
            named = {word for text in told for word in re.findall(r"\b[A-Z]\w+", text)}
            assert named - others <= set(spdbuild.__all__), name


def test_dir_lists_what_is_public():
    assert set(spdbuild.__all__) <= set(dir(spdbuild))


def test_an_unknown_name_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'spdbuild' has no attribute 'lood'"):
        spdbuild.lood  # noqa: B018


def test_importing_the_package_imports_nothing_else_of_it():
    code = "import sys, spdbuild; print([name for name in sys.modules if name.startswith(('spdbuild.', 'torch'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_public_name_is_that_of_a_module():
    # Importing such a module would put it in the place of what is public.
    modules = {path.stem for path in Path(spdbuild.__file__).parent.iterdir()}
    assert not modules & set(spdbuild.__all__)


#: A program with four mistakes, and what a type checker says of each.
MISTAKES = """
import spdbuild

spdbuild.lood("resnet50")
spdbuild.load(50)
network: str = spdbuild.build("resnet50")
spdbuild.summary("resnet50").mac
"""
FOUND = [
    '4: error: Module has no attribute "lood"',
    '5: error: Argument 1 to "load" has incompatible type "int"; expected "str | Path"',
    '6: error: Incompatible types in assignment (expression has type Module, variable has type "str")',
    '7: error: "Summary" has no attribute "mac"',
]


@pytest.mark.slow
def test_a_type_checker_sees_the_types(tmp_path: Path):
    pytest.importorskip("mypy")
    (tmp_path / "program.py").write_text(MISTAKES)
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "program.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    *lines, last = done.stdout.splitlines()
    assert last.startswith("Found 4 errors in 1 file"), done.stdout + done.stderr
    for line, expected in zip(lines, FOUND, strict=True):
        assert line.startswith(f"program.py:{expected}")
