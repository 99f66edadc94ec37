"""Which folders hold runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.errors import InputError
from spdbuild.reporting.finding import find_runs
from spdbuild.reporting.folder import MARKDOWN, PAGE, TABLE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, one with a twin and one below another folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a", "runs/a/strided", "runs/more/b"):
        Path(name, "report").mkdir(parents=True)
        Path(name, "recipe.yaml").touch()
    return tmp_path


def found(*names: str) -> list[str]:
    return [str(path) for path in find_runs(map(Path, names))[0]]


def test_a_folder_of_runs_and_the_twins_in_them() -> None:
    assert found("runs") == ["runs/a", "runs/a/strided", "runs/more/b"]


def test_a_run_is_found_once() -> None:
    assert found("runs/a/strided", "runs/a", "runs") == ["runs/a/strided", "runs/a", "runs/more/b"]


def test_what_a_run_writes_is_no_twin_of_it() -> None:
    Path("runs/a/report/recipe.yaml").touch()
    assert found("runs/a") == ["runs/a", "runs/a/strided"]


def test_what_is_no_run_is_told_and_a_report_is_not() -> None:
    for name in ("runs/notes/old", "runs/.cache", "runs/report"):
        Path(name).mkdir(parents=True)
    for name in (MARKDOWN, TABLE, PAGE):
        Path("runs/report", name).touch()
    runs, left_out = find_runs([Path("runs")])
    assert len(runs) == 3
    assert [str(entry) for entry in left_out] == [
        "runs/notes is left out: it is no run, for it has no recipe.yaml, no evaluation of one, for it has no "
        "evaluation.json, nor holds any"
    ]


def test_evaluations_are_found_also_in_a_run() -> None:
    for name in ("runs/a/test", "runs/a/strided/test", "runs/a/report", "evaluated/b", "evaluated/b/strided"):
        Path(name).mkdir(parents=True, exist_ok=True)
        Path(name, "evaluation.json").touch()
    assert found("runs/a") == ["runs/a", "runs/a/strided", "runs/a/strided/test", "runs/a/test"]
    assert found("evaluated") == ["evaluated/b", "evaluated/b/strided"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run", "error: there is no folder run\n      = hint: did you mean 'runs'?"),
        (
            "runs/a/recipe.yaml",
            "error: runs/a/recipe.yaml is a file\n"
            "      = hint: name the folder of a run, or one that holds runs, such as runs",
        ),
    ],
)
def test_a_path_that_is_no_folder_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        find_runs([Path(name)])
    assert str(caught.value) == message
