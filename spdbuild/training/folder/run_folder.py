"""The folder of a run: its files and their names."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from spdbuild.errors import RecipeError, nearest_name
from spdbuild.system.files import unwritten
from spdbuild.text.json_text import finite, json_text
from spdbuild.training.folder.environment import environment
from spdbuild.training.folder.writing import save_text
from spdbuild.wording.phrases import cut, some
from spdbuild.wording.tables import Table

Row = dict[str, Any]


class RunFolder:
    """The paths of a run's files, with methods that write them atomically.

    recipe.yaml architecture.yaml sources/ environment.json log.txt metrics.jsonl metrics.csv comparison.md
    weights/last.safetensors weights/best.safetensors state/state.pt state/best.safetensors report/

    sources: files that the architecture extends or imports.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.architecture = path / "architecture.yaml"
        self.sources = path / "sources"
        self.environment = path / "environment.json"
        self.log = path / "log.txt"
        self.rows = path / "metrics.jsonl"
        self.table = path / "metrics.csv"
        self.comparison = path / "comparison.md"
        self.last = path / "weights" / "last.safetensors"
        self.best = path / "weights" / "best.safetensors"
        self.state = path / "state" / "state.pt"
        self.kept_best = path / "state" / "best.safetensors"
        self.report = path / "report"

    @classmethod
    def create(cls, runs: Path, title: str) -> RunFolder:
        """A new folder `title`, `title-2`, `title-3`, ... below `runs`."""
        number = 1
        while True:
            path = runs / (title if number == 1 else f"{title}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            except OSError as error:
                raise unwritten(path, error, RecipeError) from None
            else:
                return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of an existing run; RecipeError if it is not one."""
        folder = cls(path)
        if not path.is_dir():
            _refuse_file(path)
            raise RecipeError(f"there is no folder {path}", hint=hint_at_runs(path))
        if not folder.recipe.is_file():
            hint = "name the folder that `spdbuild train` said, such as runs/quickstart"
            raise RecipeError(f"{path} is not the folder of a run: it has no recipe.yaml", hint=hint)
        return folder

    def refuse_links_out(self) -> None:
        """Raise RecipeError for a link that leads out of the folder: a run from somebody else could write anywhere."""
        root = self.path.resolve()
        for folder, folders, files in os.walk(root):
            for path in (Path(folder, name) for name in (*folders, *files)):
                # `Path.resolve` of Python before 3.13 raises RuntimeError for links that lead to themselves.
                if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                    link = self.path / path.relative_to(root)
                    message = f"{link} is a link to {path.readlink()}, and what a run writes stays in its folder"
                    raise RecipeError(message, hint="remove the link, or put what it leads to in its place")

    def write_metrics(self, rows: list[Row]) -> None:
        """Write all rows to metrics.jsonl and metrics.csv."""
        save_text(self.rows, "".join(json_text(row) + "\n" for row in rows))
        save_text(self.table, Table.of(finite(rows)).csv())

    def metrics(self) -> list[Row]:
        """The rows that `write_metrics` wrote; empty if it has not."""
        if not self.rows.is_file():
            return []
        try:
            rows = [json.loads(line) for line in self.rows.read_text(encoding="utf-8").splitlines()]
        except (ValueError, RecursionError):
            rows = [None]
        if not all(isinstance(row, dict) and "epoch" in row for row in rows):
            hint = "remove it: the run writes it anew when it goes on"
            raise RecipeError(f"{self.rows} does not have the metrics of a run", hint=hint)
        return rows

    def continued(self, **facts: Any) -> dict[str, Any]:
        """What the run was made with, and below `resumed` what differs in this process, which goes on with its results.

        facts: what this process is made with, besides versions, machine and command.
        """
        now = {**environment(), **facts}
        before = self.began_in()
        if not before:
            # The environment in which the run began is no longer known.
            return now
        new = {name: fact for name, fact in now.items() if name == "command" or fact != before.get(name)}
        return {**before, "resumed": [*before.get("resumed", ()), new]}

    def began_in(self) -> dict[str, Any]:
        """What the run was made with, as its folder has it; empty if it cannot be read."""
        try:
            facts = json.loads(self.environment.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(facts, dict) or not isinstance(facts.get("resumed", []), list):
            return {}
        told = all(isinstance(facts.get(name), kind) for name, kind in _TOLD.items())
        return facts if told and all(map(_has_a_command, (facts, *facts.get("resumed", ())))) else {}


def hint_at_runs(path: Path) -> str:
    """A hint with the run that a missing `path` was probably meant to be, else with the runs that there are."""
    folders = dict.fromkeys((path.parent, Path("runs")))
    runs = [entry for folder in folders for entry in _runs_in(folder)]
    name = nearest_name(path.name, [entry.name for entry in runs])
    if name is not None:
        return f"did you mean '{next(entry for entry in runs if entry.name == name)}'?"
    return f"known: {some(runs, 12)}" if runs else "`spdbuild train` makes the folders of runs, in the folder runs"


def no_run_or(what: str, name: str | Path, hint: str) -> RecipeError:
    """The error for a name that is neither of a run nor of a `what`; hint: at the latter."""
    if Path(name).suffix == ".yaml":
        return RecipeError(f"there is no {what} '{cut(str(name))}'", hint=hint)
    at_runs = hint_at_runs(Path(name))
    near = hint.startswith("did you mean") and not at_runs.startswith("did you mean")
    return RecipeError(f"there is no run or {what} '{cut(str(name))}'", hint=hint if near else at_runs)


def _runs_in(folder: Path) -> list[Path]:
    """The folders of runs in a folder; none if it cannot be read."""
    with suppress(OSError):
        return sorted(entry for entry in folder.iterdir() if RunFolder(entry).recipe.is_file())
    return []


def _refuse_file(path: Path) -> None:
    if path.is_file():
        raise RecipeError(f"{path} is a file, and a run is a folder", hint=hint_at_runs(path))


#: What is read of a run's environment, besides its commands.
_TOLD = {"versions": dict, "gpus": list, "platform": str, "plugins": dict}


def _has_a_command(facts: Any) -> bool:
    command = facts.get("command") if isinstance(facts, dict) else None
    return isinstance(command, list) and bool(command) and all(isinstance(word, str) for word in command)


#: Names in use in the folder of a run, which no twin's folder can have.
TAKEN = tuple(dict.fromkeys(path.parts[0] for path in vars(RunFolder(Path())).values() if path.parts))
