"""Names and files of another kind than a command takes are refused in one line, with a hint that works as written."""

from __future__ import annotations

from pathlib import Path

import pytest

DATASET = "path: .\ntrain: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n"
ROWS = "nc: 80\nbackbone:\n  - [-1, 1, Conv, [64, 6, 2, 2]]\nhead:\n  - [-1, 1, Conv, [64, 1, 1]]\n"
RECIPE = "architecture: resnet18\ndata: {name: digits}\n"
WRITES = "`spdbuild data recipe data.yaml -o new.yaml` writes a recipe for it"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in {"data.yaml": DATASET, "rows.yaml": ROWS, "recipe.yaml": RECIPE}.items():
        Path(name).write_text(text)
    for run in ("runs/pets-2", "runs/pets_sweep/seed=0"):
        Path(run).mkdir(parents=True)
        Path(run, "recipe.yaml").write_text(RECIPE)


PLACED = {
    ("summary", "recipe.yaml"): (
        "this is a recipe, not an architecture",
        "name the architecture that it trains: resnet18",
    ),
    ("convert", "recipe.yaml"): (
        "this is a recipe, not an architecture",
        "name the architecture that it trains: resnet18",
    ),
    ("summary", "data.yaml"): ("this describes a data set, and is not an architecture", WRITES),
    ("summary", "rows.yaml"): (
        "this is a file of rows [from, number, module, args], and is not an architecture",
        "`spdbuild import rows.yaml -o new.yaml` makes an architecture of it",
    ),
}


@pytest.mark.parametrize(("command", "expected"), PLACED.items(), ids=map(" ".join, PLACED))
def test_a_file_of_another_kind_is_refused_in_one_line(run, command, expected) -> None:
    message, hint = expected
    result = run(*command)
    assert result.exit_code == 2
    first = Path(command[1]).read_text().splitlines()[0]
    place = f"{command[1]}:1:1: error: {message}\n    1 | {first}\n      | ^\n"
    assert result.stderr == f"{place}      = hint: {hint}\n"


NAMED = {
    ("import", "data.yaml"): ("data.yaml describes a data set, and no network", WRITES),
    ("summary", "pets-2"): ("there is no run or architecture 'pets-2'", "did you mean 'runs/pets-2'?"),
    ("export", "runs/pets2"): ("there is no run or architecture 'runs/pets2'", "did you mean 'runs/pets-2'?"),
    ("summary", "resnet81"): ("there is no run or architecture 'resnet81'", "did you mean 'resnet18'?"),
    ("report", "runs/pets2"): ("there is no folder runs/pets2", "did you mean 'runs/pets-2'?"),
    ("report", "runs/pet_sweep"): ("there is no folder runs/pet_sweep", "did you mean 'runs/pets_sweep'?"),
    ("report", "run"): ("there is no folder run", "did you mean 'runs'?"),
    ("report", "pets-2"): ("there is no folder pets-2", "did you mean 'runs/pets-2'?"),
    ("train", "architectures/resnet18.yaml"): (
        "resnet18 is an architecture, not a recipe",
        "a recipe names it: architecture: resnet18; `spdbuild data recipe DATA -o new.yaml` writes a recipe",
    ),
}


@pytest.mark.parametrize(("command", "expected"), NAMED.items(), ids=map(" ".join, NAMED))
def test_a_name_that_does_not_exist_suggests_one_that_does(run, command, expected) -> None:
    message, hint = expected
    result = run(*command)
    assert (result.exit_code, result.stderr) == (2, f"error: {message}\n      = hint: {hint}\n")


def test_check_tells_all_files_apart(run) -> None:
    result = run("check", "data.yaml", "rows.yaml")
    assert [line for line in result.stderr.splitlines() if "error: " in line] == [
        "data.yaml:1:1: error: this describes a data set, and is not an architecture",
        "rows.yaml:1:1: error: this is a file of rows [from, number, module, args], and is not an architecture",
    ]


def test_without_runs_it_is_said_where_they_come_from(run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    monkeypatch.chdir("empty")
    hint = "`spdbuild train` makes the folders of runs, in the folder runs"
    assert run("predict", "runs/pets", "../data.yaml").stderr == (
        f"error: there is no run or recipe 'runs/pets'\n      = hint: {hint}\n"
    )


def test_all_options_that_are_keys_are_told_at_once(run) -> None:
    result = run("train", "recipe.yaml", "--amp", "--imgsz=32", "--learning-rate", "0.1", "--quiet")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: There is no option --amp: keys of a recipe are written precision=... data.size=32 optimizer.lr=0.1"
    )
