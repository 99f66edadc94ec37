"""What an unknown key or an unfitting value of a recipe was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from spdbuild.errors import Location, Problem
from spdbuild.text.source import Value, parse_scalar
from spdbuild.text.yaml_text import inline
from spdbuild.training.recipe.overrides import COMMAND_LINE
from spdbuild.training.recipe.schema import complete_schema

#: Where the size of images is, for a classifier and for a detector.
_SIZE = ("data.size", "input")

#: Where parts of a network get learning rates of their own.
_SCALES = ("optimizer.scales",)

#: Keys of other tools, and ours for the same.
_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("imgsz", "img_size", "image_size", "img"), _SIZE),
    **dict.fromkeys(("lr0", "learning_rate", "base_lr"), ("optimizer.lr",)),
    "wd": ("optimizer.weight_decay",),
    **dict.fromkeys(("name", "run_name", "exp_name"), ("title",)),
    **dict.fromkeys(("amp", "half", "fp16", "mixed_precision"), ("precision",)),
    **dict.fromkeys(("label_smoothing", "smoothing"), ("loss.label_smoothing",)),
    **dict.fromkeys(("batch_size", "bs"), ("batch",)),
    **dict.fromkeys(("val_batch_size", "eval_batch"), ("test_batch",)),
    **dict.fromkeys(("num_workers", "nw"), ("workers",)),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs"), ("epochs",)),
    **dict.fromkeys(("model", "net", "network", "arch", "backbone"), ("architecture",)),
    **dict.fromkeys(("dataset", "data_path"), ("data",)),
    **dict.fromkeys(("gpu", "gpus"), ("device",)),
    **dict.fromkeys(("nc", "num_classes", "classes"), ("vars.classes",)),
    **dict.fromkeys(("optim", "opt"), ("optimizer",)),
    **dict.fromkeys(("scheduler", "lr_scheduler"), ("schedule",)),
    **dict.fromkeys(("criterion", "loss_fn"), ("loss",)),
    **dict.fromkeys(("pretrained", "checkpoint"), ("weights",)),
    **dict.fromkeys(("clip_grad", "grad_clip", "max_grad_norm"), ("clip",)),
    **dict.fromkeys(("random_seed", "manual_seed"), ("seed",)),
    "lrf": ("schedule.final",),
    **dict.fromkeys(("early_stopping", "early_stop", "early_stopping_patience"), ("patience",)),
    **dict.fromkeys(("sampler", "balanced", "class_balanced", "weighted_sampler", "image_weights"), ("sampling",)),
    **dict.fromkeys(("lr_scale", "lr_mult", "param_groups", "paramwise_cfg", "backbone_lr", "head_lr"), _SCALES),
}

#: Those whose values are written in another way here.
_OTHER_VALUES = {
    "precision",
    "weights",
    "optimizer",
    *_SCALES,
    "schedule",
    "sampling",
    "loss",
    "data",
    "device",
    "patience",
}

#: Keys of other tools for what takes a second run here.
_UNFREEZING = ("unfreeze_at", "unfreeze_epoch", "unfreeze_after", "unfreeze_epochs", "freeze_epochs", "freeze_until")

#: Sections below sections that are searched for a key.
_DEPTH = 3


def advised(problems: Iterable[Problem], root: Value, recipe: str) -> list[Problem]:
    """`problems` of a recipe's keys `root`, with better hints where it is clear what was meant.

    recipe: its file as a command names it.
    """
    hints: dict[Location | None, str] = {}
    for key, value in root.items():
        hint = _key_hint(key, value, root)
        if hint:
            hints[value.key] = hint
        if key == "device" and type(value.data) is int:
            hints[value.location] = f"write device{'=' if _is_typed(value.location) else ': '}cuda:{value.data}"
    lists: dict[Location | None, str] = {
        place: f"for a run with each: spdbuild sweep {recipe} --over {text}" for place, text in _lists(root)
    }
    return [
        replace(problem, hint=hints.get(problem.location) or problem.hint or lists.get(problem.location, ""))
        for problem in problems
    ]


def meant(key: str, root: Mapping[str, Any]) -> tuple[str, ...]:
    """The paths of the keys that an unknown key at the top of a recipe was meant to be: data.size; empty if unclear.

    root: the recipe as plain data, whose names choose which keys its sections have.
    """
    properties = complete_schema()["properties"]
    if key in properties:
        return (key,)
    if key in _ELSEWHERE:
        return _ELSEWHERE[key]
    found = list(_below(properties, root, key, _DEPTH))
    least = min((path.count(".") for path in found), default=0)
    return tuple(path for path in found if path.count(".") == least)


def typed(key: str, value: str) -> str:
    """An option of another tool, `--epochs 3`, as it is typed here; empty if it is not clear what is meant."""
    paths = meant(key, {})
    if paths == _SIZE:
        return f"data.size={value}"
    return f"{paths[0]}={'...' if paths[0] in _OTHER_VALUES and paths[0] != key else value}" if paths else ""


def _key_hint(key: str, value: Value, root: Value) -> str:
    properties = complete_schema()["properties"]
    if key in properties:
        return ""
    written = inline(value.plain())
    first, *rest = key.split(".")
    on_command_line = _is_typed(value.key)
    if rest and first in properties and not on_command_line:
        return f"in a file: {_nested(key, written, root)}; dots are for the command line"
    if key in _UNFREEZING:
        run = "spdbuild train RECIPE '~freeze' weights=runs/FIRST/weights/last.safetensors"
        return f"freeze is for a whole run; a second one goes on without it: {run}"
    paths = meant(key, root.plain())
    if not paths:
        return ""
    if paths == _SIZE:
        task = root.get("task")
        detector = task is not None and task.plain().get("name") == "detection"
        paths, written = (_SIZE[1:], f"[3, {written}, {written}]") if detector else (_SIZE[:1], written)
    if len(paths) > 1 or paths[0] in _OTHER_VALUES:
        return f"did you mean {' or '.join(map(repr, paths))}?"
    return f"did you mean {f'{paths[0]}={written}' if on_command_line else _nested(paths[0], written, root)}?"


def _nested(path: str, value: str, root: Value) -> str:
    """`optimizer.lr` as the keys of a file: in the section that is there, or with it."""
    *sections, key = path.split(".")
    text = f"{key}: {value}"
    if sections and root.get(sections[0]) is not None and _is_written(root.data[sections[0]]):
        return f"{text} under '{'.'.join(sections)}'"
    for section in reversed(sections):
        text = f"{section}: {{{text}}}"
    return text


def _is_written(section: Value) -> bool:
    """Whether a section is in the recipe itself, and not one of the defaults."""
    return section.key is not None


def _lists(value: Value, path: str = "") -> Iterator[tuple[Location, str]]:
    """The texts that are numbers with commas between them, each with its place: seed=0,1,2."""
    for key, entry in value.items():
        yield from _lists(entry, f"{path}.{key}" if path else key)
    parts = value.data.split(",") if isinstance(value.data, str) else []
    if len(parts) > 1 and all(type(_scalar(part)) in (int, float) for part in parts):
        yield value.location, f"{path}={','.join(map(str.strip, parts))}"


def _scalar(text: str) -> Any:
    try:
        return parse_scalar(text.strip())
    except ValueError:
        return None


def _is_typed(place: Location | None) -> bool:
    """Whether a place is on the command line, and not in a file."""
    return place is not None and place.file == COMMAND_LINE


def _below(properties: Mapping[str, Any], values: Any, key: str, depth: int) -> Iterator[str]:
    """The paths of all keys of this name in sections, those that a section's `name` chooses among them."""
    for section, schema in properties.items() if depth else ():
        inside = values.get(section, schema.get("default")) if isinstance(values, Mapping) else None
        name = inside.get("name") if isinstance(inside, Mapping) else None
        branches = schema.get("allOf", ())
        chosen = [branch["then"] for branch in branches if branch["if"]["properties"]["name"]["const"] == name]
        inner = {k: v for part in (schema, *chosen) for k, v in part.get("properties", {}).items() if k != "name"}
        if key in inner:
            yield f"{section}.{key}"
        yield from (f"{section}.{path}" for path in _below(inner, inside, key, depth - 1))
