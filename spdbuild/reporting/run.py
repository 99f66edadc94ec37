"""A run that has ended, read from its folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from spdbuild.errors import InputError
from spdbuild.reporting.finding import is_run
from spdbuild.reporting.reading import (
    environment_of,
    holds,
    mapping_of,
    recipe_of,
    row_of,
    summary_of,
    text_of,
)
from spdbuild.reporting.timing import Timing
from spdbuild.reporting.trials import InFold, Trial
from spdbuild.text.source import parse_yaml, read_source
from spdbuild.training.folder.environment import typed_commands
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.report.evaluation_file import FILE as EVALUATION
from spdbuild.training.report.evaluation_file import around, network_digest, titles
from spdbuild.training.report.summary import FILE, Summary
from spdbuild.weights.stored import STATE_DICT

#: The splits of a run, as its environment names them.
_SPLITS = ("trained_on", "evaluated_on")
_RESUME = "`spdbuild train --resume {}`"
_ANEW = "after a loss that was not finite start anew with a lower optimizer.lr"
_UNREPORTED = f"it was cut off while it wrote its report: {_RESUME} writes it anew"


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation of a run measured, and with which of its weights.

    split: of the data. weights: `best`, `last`, the name of another file, or `a state_dict`; file: its path, or
        the same.
    precision: that of the evaluation. run: the folder of the run.
    """

    split: str
    weights: str
    precision: str
    run: str
    file: str

    @property
    def choice(self) -> tuple[str, str, str]:
        """What evaluations have in common that can be compared."""
        return self.split, self.weights, self.precision

    def again(self, folder: Path, *overrides: str) -> str:
        """What makes the evaluation once more: the command, or of a state_dict the call from Python."""
        if self.file == STATE_DICT:
            given = ", ".join(map(repr, (self.run, *([list(overrides)] if overrides else []))))
            return f"spdbuild.evaluate({given}, weights=..., split={self.split!r}, output={str(folder)!r})"
        choice = ["--weights", self.file, "--split", self.split, "-o", str(folder)]
        return shlex.join(["spdbuild", "eval", self.run, *overrides, *choice])


@dataclass(frozen=True)
class Run:
    """A run that has ended, or an evaluation of one: the results of some of its weights on a split.

    name: its title without the seed; for a twin after that of the run that it belongs to: quickstart/strided.
    recipe: resolved, as plain data. network: digest of architecture.yaml and of what it extends and imports.
    environment: what it was made with. images_per_second: the speed of training, the median over the epochs.
    ended: when its report was written, in nanoseconds since the beginning of 1970.
    rows: its metrics, one row per epoch; none for an evaluation. evaluated: None for the run itself; timing: the speed
        of an evaluation, if it was measured.
    """

    folder: Path
    name: str
    recipe: Mapping[str, Any]
    network: str
    summary: Summary
    environment: Mapping[str, Any]
    images_per_second: float
    ended: int
    rows: tuple[Mapping[str, Any], ...] = ()
    evaluated: Evaluated | None = None
    timing: Timing | None = None

    @property
    def seed(self) -> int:
        seed: int = self.recipe["seed"]
        return seed

    @property
    def folds(self) -> int:
        """The number of parts of the training images, one of which it left out and was evaluated on; 0: none."""
        folds = self.recipe["data"].get("folds")
        return folds if isinstance(folds, int) else 0

    @property
    def fold(self) -> int | None:
        """The fold that it was evaluated on, from 0; None if it was evaluated on something else."""
        return self.recipe["data"].get("fold", 0) if self.folds and self._on_validation else None

    @property
    def _on_validation(self) -> bool:
        return self.evaluated is None or self.evaluated.split == "val"

    @property
    def trial(self) -> Trial:
        """What tells it apart from other runs of its recipe."""
        return self.seed if self.fold is None else InFold(self.fold, self.seed)

    @property
    def images(self) -> tuple[str, str] | None:
        """The images that it was trained and evaluated on, each as their number and a digest; None without digests."""
        splits = self._splits
        return None if splits is None else (_images(splits[0]), _images(splits[1]))

    @property
    def divided(self) -> int | None:
        """How many images its cross-validation divides: those that it was trained and evaluated on together."""
        splits = self._splits if self.evaluated is None else None
        return None if splits is None else int(splits[0]["images"]) + int(splits[1]["images"])

    @property
    def _splits(self) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        """The facts of the images that it was trained and evaluated on; None without digests."""
        facts = self.environment
        # A process that resumed the run says only what has changed.
        splits = {**facts, **facts["resumed"][-1]} if facts["resumed"] else facts
        trained, evaluated = (splits.get("data", {}).get(name) for name in _SPLITS)
        if not trained or not evaluated or not trained["digest"] or not evaluated["digest"]:
            return None
        return trained, evaluated

    @property
    def results(self) -> Path:
        """The folder of its tables and of its results by image."""
        return self.folder if self.evaluated else RunFolder(self.folder).report

    @property
    def selected(self) -> bool:
        """Whether its metrics are of the best weights on the very images that these were chosen by."""
        chosen_by = self.environment.get("data", {}).get(_SPLITS[1])
        best = self.evaluated is not None and self.evaluated.weights == "best"
        return best and chosen_by is not None and self.images is not None and self.images[1] == _images(chosen_by)

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
        return _machine(self.environment, self.summary.device)


def read_run(folder: Path) -> Run:
    """The run in a folder, or the evaluation of one; raises InputError or SourceError if it cannot be reported."""
    return _read_run(folder) if is_run(folder) else _read_evaluation(folder)


def _read_run(folder: Path) -> Run:
    files = RunFolder(folder)
    recipe = _recipe(files)
    lines = text_of(files.rows).splitlines() if files.rows.is_file() else []
    rows = tuple(row_of(line, number) for number, line in enumerate(lines, start=1))
    file = files.report / FILE
    name = file.relative_to(folder).as_posix()
    summary = summary_of(mapping_of(text_of(file), name), name) if file.is_file() else None
    _require_end(folder, recipe, summary, rows)
    assert summary is not None
    sources = {path.name: text_of(path) for path in sorted(files.sources.glob("*"))}
    return Run(
        folder,
        _name(titles(folder), recipe["seed"]),
        recipe,
        network_digest(text_of(files.architecture), sources),
        summary,
        environment_of(mapping_of(text_of(files.environment), files.environment.name), files.environment.name),
        float(median(row["images_per_second"] for row in rows)),
        file.stat().st_mtime_ns,
        rows,
    )


def _read_evaluation(folder: Path) -> Run:
    file = folder / EVALUATION
    facts = mapping_of(text_of(file), file.name)
    evaluated = Evaluated(**{field.name: str(facts.get(field.name)) for field in fields(Evaluated)})
    if "summary" in facts and facts["summary"] is None:
        raise InputError(
            f"{evaluated.run} had not come to its end when it was evaluated; afterwards `{evaluated.again(folder)}`"
        )
    kinds = {"titles": tuple[str, ...], "images_per_second": float, "environment": dict, "summary": dict}
    texts = dict.fromkeys(("network", *(field.name for field in fields(Evaluated))), str)
    for key, kind in {**kinds, **texts}.items():
        if not holds(facts.get(key), kind) or not facts[key]:
            raise InputError(f"{file.name} is damaged: it has no '{key}'")
    recipe = recipe_of(facts.get("recipe"), f"the recipe in {file.name}")
    return Run(
        folder,
        _name(facts["titles"], recipe["seed"]),
        recipe,
        facts["network"],
        summary_of(facts["summary"], file.name),
        environment_of(facts["environment"], file.name),
        facts["images_per_second"],
        file.stat().st_mtime_ns,
        evaluated=evaluated,
        timing=_timing(facts, file.name),
    )


def _timing(facts: Mapping[str, Any], name: str) -> Timing | None:
    """The speed in the facts of an evaluation; None if it was not measured."""
    speed = facts.get("speed")
    if speed is None:
        return None
    kinds = {"batch": int, "images_per_second": float, "latency_ms": dict[str, float]}
    if not isinstance(speed, dict) or not all(holds(speed.get(key), kind) for key, kind in kinds.items()):
        raise InputError(f"{name} is damaged: 'speed' is not as `spdbuild eval` writes it")
    made_with = environment_of(facts["environment"], name)
    # The last entry of `resumed` is the evaluation, and says only what differs from the training.
    here = {**made_with, **made_with["resumed"][-1]} if made_with["resumed"] else made_with
    machine = _machine(here, str(here.get("device", facts["summary"]["device"])))
    return Timing(speed["batch"], speed["images_per_second"], speed["latency_ms"], machine)


def _machine(facts: Mapping[str, Any], device: str) -> str:
    chips = dict.fromkeys(facts.get("gpus", ())) if device.startswith("cuda") else [_processor(facts)]
    processes = facts.get("processes", 1)
    parts = [device, *chips, f"{facts.get('threads', '?')} of {facts.get('processors', '?')} threads"]
    parts += [f"{processes} processes"] if processes != 1 else []
    return ", ".join([*map(str, parts), f"torch {facts['versions'].get('torch', 'unknown')}"])


def _processor(facts: Mapping[str, Any]) -> str:
    return str(facts.get("processor", "unknown processor"))


def _images(facts: Mapping[str, Any]) -> str:
    return f"{facts['images']:,} with digest {facts['digest'][:8]}"


def _require_end(folder: Path, recipe: Mapping[str, Any], summary: Summary | None, rows: tuple[Any, ...]) -> None:
    """Refuse a run that has not come to its end, or that had and has been extended since."""
    run = shlex.quote(str(around(folder) or folder))
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


def _recipe(files: RunFolder) -> Mapping[str, Any]:
    return recipe_of(parse_yaml(read_source(files.recipe)).plain(), files.recipe.name)


def _name(parts: Sequence[str], seed: int) -> str:
    """The title of a run without the seed; that of a twin after the title of the run around it."""
    first, *others = parts
    # `cifar_seed1` and `cifar-s1` of seed 1 -> `cifar`.
    seedless = re.sub(rf"(?<=.)([-_. ]s|[-_. ]?seed)[-_. =]?{seed}$", "", first) or first
    return "/".join([seedless, *others])
