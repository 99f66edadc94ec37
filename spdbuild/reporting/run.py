"""A run that has ended, read from its folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from spdbuild.arguments import fit, type_hints
from spdbuild.errors import ArgumentError, InputError
from spdbuild.json_text import finite
from spdbuild.reporting.finding import is_run
from spdbuild.source import parse_yaml, read_source
from spdbuild.training.environment import typed_commands
from spdbuild.training.run_folder import RunFolder
from spdbuild.training.summary import FILE, Summary

#: The splits of a run, as its environment names them.
_SPLITS = ("trained_on", "evaluated_on")
_RESUME = "`spdbuild train --resume {}`"
_ANEW = "after a loss that was not finite start anew with a lower optimizer.lr"
_UNREPORTED = f"either an older version wrote it, or it was cut off while it wrote its report: {_RESUME} writes it anew"


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    name: its title without the seed; for a twin after that of the run that it belongs to: quickstart/strided.
    recipe: resolved, as plain data. network: digest of architecture.yaml and of what it extends and imports.
    environment: what it was made with. rows: its metrics, one row per epoch.
    ended: when its report was written, in nanoseconds since the beginning of 1970.
    """

    folder: Path
    name: str
    recipe: Mapping[str, Any]
    network: str
    summary: Summary
    environment: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    ended: int

    @property
    def seed(self) -> int:
        seed: int = self.recipe["seed"]
        return seed

    @property
    def images(self) -> tuple[str, str] | None:
        """The images that it was trained and evaluated on, each as their number and a digest.

        None for runs of older versions, and where the data have no digest.
        """
        facts = self.environment
        # A process that resumed the run says only what has changed.
        splits = {**facts, **facts["resumed"][-1]} if facts["resumed"] else facts
        trained, evaluated = (splits.get("data", {}).get(name) for name in _SPLITS)
        if not trained or not evaluated or not trained["digest"] or not evaluated["digest"]:
            return None
        return _images(trained), _images(evaluated)

    @property
    def images_per_second(self) -> float:
        """The speed of training: the median over the epochs."""
        return float(median(row["images_per_second"] for row in self.rows))

    @property
    def commit(self) -> str:
        """The commit of spdbuild, abbreviated; its version if it was not run from a repository."""
        commit = self.environment.get("spdbuild_commit")
        return str(commit)[:10] if commit else f"spdbuild {self.environment['versions'].get('spdbuild', 'unknown')}"

    @property
    def command(self) -> str:
        """The command as a person types it, without the program's folder; with those that resumed the run."""
        return typed_commands(self.environment)

    @property
    def machine(self) -> str:
        """What it ran on: device, processor or GPUs, threads, processes if there were several, and torch."""
        facts = self.environment
        on_gpu = self.summary.device.startswith("cuda")
        chips = dict.fromkeys(facts.get("gpus", ())) if on_gpu else [facts.get("processor", "unknown processor")]
        processes = facts.get("processes", 1)
        parts = [self.summary.device, *chips, f"{facts.get('threads', '?')} of {facts.get('processors', '?')} threads"]
        parts += [f"{processes} processes"] if processes != 1 else []
        return ", ".join([*map(str, parts), f"torch {facts['versions'].get('torch', 'unknown')}"])


def read_run(folder: Path) -> Run:
    """The run in a folder; raises InputError or SourceError if it cannot be reported."""
    files = RunFolder(folder)
    recipe = _recipe(files.recipe)
    lines = _text(files.rows).splitlines() if files.rows.is_file() else []
    rows = tuple(_row(line, number) for number, line in enumerate(lines, start=1))
    summary = _summary(files)
    _require_end(folder, recipe, summary, rows)
    assert summary is not None
    name = _name(recipe, folder)
    ended = (files.report / FILE).stat().st_mtime_ns
    return Run(folder, name, recipe, _network(files), summary, _environment(files), rows, ended)


def _images(facts: Mapping[str, Any]) -> str:
    return f"{facts['images']:,} with digest {facts['digest'][:8]}"


def _network(files: RunFolder) -> str:
    """A digest of the architecture, and of the files that it extends and imports."""
    digest = hashlib.sha256(_text(files.architecture).encode())
    for path in sorted(files.sources.glob("*")):
        digest.update(f"{path.name}\n{_text(path)}".encode())
    return digest.hexdigest()[:10]


def _require_end(folder: Path, recipe: Mapping[str, Any], summary: Summary | None, rows: tuple[Any, ...]) -> None:
    """Refuse a run that has not come to its end, or that had and has been extended since."""
    run = _around(folder) or folder
    hint = f"go on with {_RESUME.format(run)}, or {_ANEW}"
    if not rows:
        raise InputError(f"it has not come to the end of its first epoch; {hint}")
    if summary is None and rows[-1]["epoch"] == recipe["epochs"]:
        raise InputError(f"it has come to its end, but has no report/{FILE}: {_UNREPORTED.format(run)}")
    if summary is None:
        raise InputError(f"it stands at epoch {rows[-1]['epoch']} of {recipe['epochs']}; {hint}")
    if (rows[-1]["step"], recipe["epochs"]) != (summary.steps, summary.planned_epochs):
        message = f"its report is of step {summary.steps:,}, and it has been resumed since and not come to its end"
        raise InputError(f"{message}; {hint}")


def _recipe(path: Path) -> Mapping[str, Any]:
    value = parse_yaml(read_source(path))
    recipe: Any = value.plain()
    if not isinstance(recipe, dict):
        raise InputError("recipe.yaml is no mapping of keys")
    for key, kind in {"seed": int, "epochs": int, "data": dict, "task": dict, "compare": dict}.items():
        if not isinstance(recipe.get(key), kind):
            raise InputError(f"recipe.yaml has no '{key}' as `spdbuild train` writes it")
    return recipe


def _name(recipe: Mapping[str, Any], folder: Path) -> str:
    """The title of a run without the seed; that of a twin after the title of the run around it."""
    title, around = str(recipe.get("title") or "run"), _around(folder)
    if around is None:
        return _seedless(title, recipe["seed"])
    theirs = str(_recipe(RunFolder(around).recipe).get("title") or "run")
    return f"{_seedless(theirs, recipe['seed'])}/{title}"


def _around(folder: Path) -> Path | None:
    """The folder of the run that a twin is in; None if the run is not a twin."""
    # The paths `.` and `..` do not show their parents.
    parent = folder.parent if folder.name not in ("", "..") else folder.resolve().parent
    return parent if is_run(parent) else None


def _seedless(title: str, seed: int) -> str:
    """`cifar_seed1` and `cifar-s1` of seed 1 -> `cifar`."""
    return re.sub(rf"(?<=.)([-_. ]s|[-_. ]?seed)[-_. =]?{seed}$", "", title) or title


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"it has no {path.name}") from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is damaged: it is no text in UTF-8") from None


def _json(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{name} is damaged in line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError):
        raise InputError(f"{name} is damaged: it is no JSON that a run writes") from None
    if not isinstance(found, dict):
        raise InputError(f"{name} is damaged: it is no mapping of keys")
    return found


def _row(line: str, number: int) -> Mapping[str, Any]:
    name = f"line {number} of metrics.jsonl"
    row: dict[str, Any] = finite(_json(line, name))
    for key, value in row.items():
        if not _holds(value, float | None):
            raise InputError(f"{name} is damaged: '{key}' is no number")
    for key in ("epoch", "step", "images_per_second"):
        if row.get(key) is None:
            raise InputError(f"{name} is damaged: it has no '{key}'")
    return row


def _summary(files: RunFolder) -> Summary | None:
    """What summary.json says; None if the run has not written it."""
    file = files.report / FILE
    if not file.is_file():
        return None
    name = file.relative_to(files.path).as_posix()
    facts = _json(_text(file), name)
    known, kinds = finite(facts), type_hints(Summary)
    for key, kind in kinds.items():
        if key not in facts:
            raise InputError(f"{name} is damaged: it has no '{key}'")
        if not _holds(known[key], kind):
            raise InputError(f"{name} is damaged: '{key}' is {json.dumps(facts[key])[:40]}")
    return Summary.of({key: known[key] for key in kinds})


def _holds(value: Any, kind: Any) -> bool:
    """Whether a JSON value fits the annotation of a field of a summary."""
    try:
        fit(value, kind, "")
    except ArgumentError:
        return False
    return True


def _environment(files: RunFolder) -> Mapping[str, Any]:
    name = files.environment.name
    facts = _json(_text(files.environment), name)
    for key, kind in {"versions": dict, "command": list}.items():
        if not isinstance(facts.get(key), kind) or not facts[key]:
            raise InputError(f"{name} is damaged: it has no '{key}'")
    resumed = facts.get("resumed", [])
    if not isinstance(resumed, list) or not all(isinstance(entry, dict) and entry.get("command") for entry in resumed):
        raise InputError(f"{name} is damaged: 'resumed' is no list of commands")
    for entry in (facts, *resumed):
        data = entry.get("data", {})
        if not isinstance(data, dict) or not all(map(_tells_images, data.values())):
            raise InputError(f"{name} is damaged: 'data' does not say which images there are")
    again = [{**entry, "command": list(map(str, entry["command"]))} for entry in resumed]
    return {**facts, "command": list(map(str, facts["command"])), "resumed": again}


def _tells_images(split: Any) -> bool:
    return isinstance(split, dict) and _holds(split.get("images"), int) and _holds(split.get("digest"), str)
