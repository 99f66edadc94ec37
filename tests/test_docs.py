"""The documentation says what is true: generated pages are up to date, and every example runs."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from spdbuild.cli import spdbuild
from spdbuild.loading import load
from spdbuild.ops import OPS
from spdbuild.weights.rename import compile_rules, rename

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
LANGUAGE = (DOCS / "language.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", LANGUAGE, re.MULTILINE | re.DOTALL)
FILES = {text.split("\n")[0].removeprefix("# "): text for kind, text in BLOCKS if kind in ("yaml", "python")}
CONSOLES = [text for kind, text in BLOCKS if kind == "console"]


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str):
    assert (DOCS / name).read_text() == GENERATED[name], "run python docs/generate.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the guide."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    # An op of the guide would be among those that the messages of other tests list.
    monkeypatch.setattr(OPS, "_classes", dict(OPS.items()))
    return tmp_path


def test_the_guide_has_examples():
    assert len(FILES) >= 8
    assert len(CONSOLES) >= 6


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml") and name != "wrong.yaml"])
def test_a_file_of_the_guide_is_right(folder: Path, name: str):
    result = CliRunner().invoke(spdbuild, ["check", name, "--allow-imports"])
    assert result.stderr == ""
    assert result.exit_code == 0


@pytest.mark.parametrize("console", CONSOLES, ids=lambda text: text.split("\n")[0])
def test_a_command_of_the_guide_prints_what_stands_there(folder: Path, console: str):
    line, expected = console.split("\n", 1)
    command, *last = line.removeprefix("$ spdbuild ").split(" | tail -1")
    output = CliRunner().invoke(spdbuild, shlex.split(command)).output
    assert (output.splitlines()[-1] + "\n" if last else output) == expected


def test_the_rename_table_of_the_guide_does_what_the_guide_says(folder: Path):
    rules = compile_rules(load("renamed.yaml").renames["theirs"])
    ours, theirs = re.search(r"Here `(.+?)` is `(.+?)` in the checkpoint", LANGUAGE).groups()
    assert rename(ours, rules) == theirs


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
