"""evaluation.json: what `spdbuild report` must know of the evaluation of a run, whatever becomes of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from spdbuild.errors import SpdbuildError
from spdbuild.text.json_text import json_text
from spdbuild.text.source import Source, Value, parse_yaml, read_source
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.folder.writing import save_text
from spdbuild.training.report.summary import Summary
from spdbuild.weights.stored import STATE_DICT

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe
    from spdbuild.training.task import Evaluation
    from spdbuild.training.trained.speed import Speed
    from spdbuild.training.trained.stored_run import StoredModel

#: The file, in the folder of an evaluation.
FILE = "evaluation.json"


def write_evaluation_file(
    folder: Path, stored: StoredModel, split: str, images: Mapping[str, Any], evaluation: Evaluation
) -> None:
    """Write the file of an evaluation of a run; of a model that is of no run, nothing is written.

    images: of the split, their number, that of their classes and a digest, as a run's environment has them.
    """
    run = stored.folder
    if run is None:
        return
    known = _results(run)
    sources = {path.name: _text(path) for path in sorted(run.sources.glob("*"))}
    facts = {
        "split": split,
        "weights": _weights(run, stored.weights),
        "precision": stored.precision,
        "run": str(run.path),
        "file": stored.weights_source,
        "titles": titles(run.path),
        "network": network_digest(_text(run.architecture), sources),
        "recipe": _plain(parse_yaml(Source(FILE, _as_trained(stored, run).resolved()))),
        "environment": run.continued(device=str(stored.device), data=_data(run, images)),
        "images_per_second": known and known[1],
        "summary": known and asdict(_summary(known[0], stored, evaluation)),
    }
    save_text(folder / FILE, json_text(facts, indent=2) + "\n")


def add_speed(folder: Path, speed: Speed) -> None:
    """Add the speed of the network, which is measured last, to the file of an evaluation, if there is one."""
    file = folder / FILE
    if file.is_file():
        facts = {**json.loads(_text(file)), "speed": asdict(speed)}
        save_text(file, json_text(facts, indent=2) + "\n")


def around(folder: Path) -> Path | None:
    """The folder of the run that a twin is in; None if the run is not a twin."""
    # The paths `.` and `..` do not show their parents.
    parent = folder.parent if folder.name not in ("", "..") else folder.resolve().parent
    return parent if RunFolder(parent).recipe.is_file() else None


def titles(folder: Path) -> list[str]:
    """The title of the run in a folder; of a twin, that of the run around it and its own."""
    outer = around(folder)
    return [_title(path) for path in ([outer] if outer else []) + [folder]]


def network_digest(architecture: str, sources: Mapping[str, str]) -> str:
    """A digest of the text of an architecture, and of those that it extends and imports, by name."""
    digest = hashlib.sha256(architecture.encode())
    for name, text in sources.items():
        digest.update(f"{name}\n{text}".encode())
    return digest.hexdigest()[:10]


def _weights(run: RunFolder, file: Path | None) -> str:
    """`best` or `last` of the run's own weights, the name of another file, or what they are in place of a file."""
    if file is None:
        return STATE_DICT
    own = {"best": run.best, "last": run.last}
    return next((name for name, path in own.items() if path.is_file() and path.samefile(file)), file.name)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _title(folder: Path) -> str:
    return str(_plain(parse_yaml(read_source(RunFolder(folder).recipe))).get("title") or "run")


def _plain(recipe: Value) -> dict[str, Any]:
    plain: Any = recipe.plain()
    return plain if isinstance(plain, dict) else {}


def _as_trained(stored: StoredModel, run: RunFolder) -> Recipe:
    """The recipe with the changes of the evaluation, and with the network that it names, not that of the folder."""
    # Recipes import torch, and the name of the file is known without it.
    from spdbuild.training.recipe import load_recipe

    trained, used = load_recipe(run.recipe), stored.recipe
    network = {name: getattr(trained, name) for name in ("architecture", "passes", "weights")}
    return replace(used, variant=used.variant or trained.variant, vars={**trained.vars, **used.vars}, **network)


def _data(run: RunFolder, images: Mapping[str, Any]) -> dict[str, Any]:
    """The images that the run was trained on, if it says which, and those of the evaluation."""
    facts = run.began_in()
    last = {**facts, **(facts.get("resumed") or [{}])[-1]}.get("data")
    trained = last.get("trained_on") if isinstance(last, dict) else None
    return {**({"trained_on": trained} if trained else {}), "evaluated_on": dict(images)}


def _results(run: RunFolder) -> tuple[Summary, float] | None:
    """The summary and the speed of a run that has come to its end; else None."""
    try:
        rows, summary, recipe = run.metrics(), Summary.read(run.report), _plain(parse_yaml(read_source(run.recipe)))
        ended = bool(rows) and (rows[-1]["step"], recipe["epochs"]) == (summary.steps, summary.planned_epochs)
        return (summary, median(row["images_per_second"] for row in rows)) if ended else None
    except (OSError, ValueError, LookupError, TypeError, SpdbuildError):
        return None


def _summary(trained: Summary, stored: StoredModel, evaluation: Evaluation) -> Summary:
    """The costs of the training with the results of the evaluation."""
    return replace(
        trained,
        parameters=stored.parameters,
        macs=stored.macs,
        input=tuple(stored.input),
        weights=stored.weights_source,
        metrics=evaluation.metrics,
        counts=evaluation.counts,
    )
