"""Commands of installed packages."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType, SimpleNamespace

import click
import pytest

POINTS = [
    ("greet", "stub_plugin:greet", "spdbuild.commands"),
    ("broken", "stub_plugin:missing", "spdbuild.commands"),
    ("number", "stub_plugin:number", "spdbuild.commands"),
    ("twice", "stub_plugin:greet", "spdbuild.commands"),
    ("twice", "stub_plugin:other", "spdbuild.commands"),
    ("summary", "stub_plugin:greet", "spdbuild.commands"),
    ("greet_data", "stub_plugin:greet", "spdbuild.data_commands"),
]


@click.command("called_otherwise")
@click.argument("who")
def greet(who: str) -> None:
    """Say hello."""
    click.echo(f"hello {who}")


def offered(name: str) -> str:
    return f"the entry point '{name}' of spdbuild.commands in the package stub-plugin 1.2"


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Installs the entry points; the groups that are looked up."""
    plugin = ModuleType("stub_plugin")
    vars(plugin).update(greet=greet, other=greet, number=3)
    monkeypatch.setitem(sys.modules, "stub_plugin", plugin)
    groups = []
    package = SimpleNamespace(name="stub-plugin", version="1.2")

    def entry_points(group: str) -> EntryPoints:
        groups.append(group)
        found = (EntryPoint(*point) for point in POINTS if point[2] == group)
        return EntryPoints(point._for(package) for point in found)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return groups


@pytest.mark.parametrize("arguments", [["greet"], ["data", "greet_data"]], ids=" ".join)
def test_a_command_of_a_package_runs_under_the_name_of_its_entry_point(run, arguments: list[str]):
    result = run(*arguments, "you")
    assert (result.exit_code, result.output) == (0, "hello you\n")
    assert f"Usage: spdbuild {' '.join(arguments)}" in run(*arguments, "--help").output


def test_it_is_listed_and_suggested(run):
    assert re.search(r"^  greet +Say hello\.$", run("--help").output, re.MULTILINE)
    assert re.search(r"^  greet_data +Say hello\.$", run("data", "--help").output, re.MULTILINE)
    assert "did you mean 'greet'?" in run("gret").stderr
    assert "there is no command 'data greet'\n      = hint: did you mean 'greet_data'?" in run("data", "greet").stderr


def test_entry_points_are_not_read_for_a_built_in_command(run, looked_up: list[str]):
    assert run("passes").exit_code == 0
    assert run("data", "check", "--help").exit_code == 0
    assert not {"spdbuild.commands", "spdbuild.data_commands"} & set(looked_up)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", f"{offered('broken')} does not load: module 'stub_plugin' has no attribute 'missing'"),
        ("number", f"{offered('number')} is no click.Command"),
        ("twice", f"several offer the command: {offered('twice')} and {offered('twice')}"),
    ],
)
def test_one_that_cannot_be_used_says_why_when_it_is_called_and_in_the_list(run, name: str, message: str):
    for arguments in ([], ["--help"], ["x", "--some=1"]):
        result = run(name, *arguments)
        assert (result.exit_code, result.stderr) == (2, f"error: {message}\n")
    listed = run("--help", terminal_width=200)
    assert listed.exit_code == 0
    assert f"  {message}\n" in listed.output


def test_the_name_of_a_built_in_command_stays_its_own(run):
    assert "hello" not in run("summary", "resnet18").output
    left_out = "Left out:\n  summary  an entry point of spdbuild.commands has the name of a built-in command\n"
    assert left_out in run("--help", terminal_width=200).output
    assert "Left out" not in run("data", "--help").output
