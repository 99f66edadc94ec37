"""A recipe as it is written -> the complete one: short forms are expanded, the title and the defaults filled in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from spdbuild.data import DATASETS
from spdbuild.losses.loss import LOSSES, Loss
from spdbuild.text.source import Source, Value, parse_yaml
from spdbuild.text.yaml_text import yaml_text
from spdbuild.training.recipe.options import FirstWeights, TrainedWeights
from spdbuild.training.recipe.overrides import merged
from spdbuild.training.recipe.recipe import default_optimizer
from spdbuild.training.recipe.sections import plain
from spdbuild.training.schedules.shapes import Cosine
from spdbuild.training.task import TASKS

#: Keys of a recipe whose section can be a string: the key that this string has in the section.
_SHORT = {"task": "name", "sampling": "name", "weights": FirstWeights.short}


def spelled_out(value: Value) -> Value:
    """Expand short forms: `task: detection` means a task without further options."""
    entries = dict(value.data)
    for key, inner in _SHORT.items():
        if key in entries:
            entries[key] = _below(inner, entries[key])
    distill = entries.get("distill")
    if distill is not None and isinstance(distill.data, dict) and "weights" in distill.data:
        weights = _below(TrainedWeights.short, distill.data["weights"])
        entries["distill"] = replace(distill, data={**distill.data, "weights": weights})
    init = entries.get("init")
    if init is not None and isinstance(init.data, dict):
        entries["init"] = replace(init, data={pattern: _below("name", entry) for pattern, entry in init.items()})
    return replace(value, data=entries)


def _below(key: str, value: Value) -> Value:
    """A text as a mapping that has it under `key`; anything else as it is."""
    return replace(value, data={key: value}) if isinstance(value.data, str) else value


def completed(value: Value) -> Value:
    """Fill in defaults: `optimizer: {lr: 0.1}` means the default optimizer with another learning rate, and so on."""
    entries = _with_task(spelled_out(value).data)
    defaults: dict[str, Any] = {"optimizer": default_optimizer(), "schedule": Cosine(), "loss": _own_loss(entries)}
    for key, default in defaults.items():
        given = entries.get(key)
        if given is None or not isinstance(given.data, dict) or "name" in given.data:
            continue
        if default is None:
            del entries[key]  # the task is not known, so nothing can be said about the key
            continue
        section = parse_yaml(Source("default", yaml_text(plain(default))))
        entries[key] = replace(merged(section, given), key=given.key)
    return replace(value, data=entries)


def _own_loss(entries: dict[str, Any]) -> Loss | None:
    """The default loss of the task; None if the task is unknown."""
    task = entries.get("task")
    name = task.get("name") if task is not None else None
    known = name is not None and isinstance(name.data, str) and name.data in TASKS
    return LOSSES[TASKS[name.data].default_loss]() if name is not None and known else None


def _with_task(entries: dict[str, Any]) -> dict[str, Any]:
    """A task without a name is the task of the data; if the data is wrong, the key is left out."""
    data, given = entries.get("data"), entries.get("task")
    chosen = data.get("name") if data is not None and isinstance(data.data, dict) else None
    if given is not None and (not isinstance(given.data, dict) or "name" in given.data):
        return entries
    if chosen is None or not isinstance(chosen.data, str) or chosen.data not in DATASETS:
        return {key: entry for key, entry in entries.items() if key != "task"}
    name = parse_yaml(Source("default", f"name: {DATASETS[chosen.data].task}"))
    return {**entries, "task": name if given is None else replace(merged(name, given), key=given.key)}


def titled(value: Value) -> Value:
    """Set the title to the file's name, unless one is given."""
    if "title" in value.data or value.source.name == "<text>":
        return value
    title = replace(value, data=Path(value.source.name).stem)
    return replace(value, data={"title": title, **value.data})
