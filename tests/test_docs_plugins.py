"""The package of docs/plugins.md does what the page says, and so does the op of docs/language.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FILES = {text.split("\n")[0].removeprefix("# "): text for kind, text in BLOCKS if kind != "console"}
COMMANDS = "".join(text for kind, text in BLOCKS if kind == "console").replace("$ spdbuild ", "").splitlines()

#: Runs commands in one process, and tells those that fail.
RUN = """
import shlex
import sys

from click.testing import CliRunner

from spdbuild.cli import spdbuild

for command in sys.argv[1:]:
    result = CliRunner().invoke(spdbuild, shlex.split(command))
    print(f"$ {command}\\n{result.output}")
    assert result.exit_code == 0, result.exception
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the files of the page, in which Python finds them as an installed package."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    information = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    information.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (information / "METADATA").write_text(head)
    groups = project["entry-points"].items()
    lines = (f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in some.items()) for group, some in groups)
    (information / "entry_points.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_page_runs(installed: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{installed}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN, *COMMANDS]
    done = subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (installed / "striped.gz").exists()
    printed = done.stdout
    assert "$ layers striped.yaml\n6\n" in printed
    assert "64 images" in printed.partition("$ data check stripes")[2]
    assert "sign_descent" in (installed / "runs" / "train" / "recipe.yaml").read_text()


@pytest.mark.slow
def test_the_package_and_the_op_of_the_guide_pass_a_strict_type_checker(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "stripes.py").write_text(FILES["stripes.py"])
    guide = (ROOT / "docs" / "language.md").read_text()
    (tmp_path / "halve.py").write_text(re.search(r"^```python\n# halve.py\n(.*?)^```", guide, re.M | re.S)[1])
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        "stripes.py",
        "halve.py",
    ]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "Success: no issues found in 2 source files\n", done.stdout + done.stderr


def test_the_page_names_all_entry_points_and_offers_what_is_there() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "spdbuild").rglob("*.py"))
    groups = re.findall(r'Registry\("[^"]*", "[^"]*", "([^"]*)"\)', sources)
    groups += re.findall(r'entry_points = "([^"]*)"', sources)
    assert {"spdbuild.ops", "spdbuild.commands", "spdbuild.data_commands"} <= set(groups)
    assert [group for group in groups if f"`{group}`" not in PAGE] == []
    assert [file for file in re.findall(r"spdbuild/[\w/]+\.py", PAGE) if not (ROOT / file).exists()] == []
