"""The data set that a TARGET on the command line names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild import builtin
from spdbuild.errors import InputError, nearest

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe


def data_set_of(target: str, overrides: tuple[str, ...]) -> Any:
    """The data set of a folder, a dataset YAML, a registered name, or a recipe.

    overrides: `field=value` of the data set, or, for a recipe, `key.path=value`.
    """
    data_set = data_set_alone(target, overrides)
    return recipe_of(target, overrides).data if data_set is None else data_set


def data_set_alone(target: str, overrides: tuple[str, ...]) -> Any:
    """The same for targets that are not recipes; None for anything else."""
    from spdbuild.data import DATASETS
    from spdbuild.data.detection.yolo_yaml import is_dataset_yaml, is_nameless_dataset_yaml
    from spdbuild.data.overview.recognizing import recognized

    if Path(target).is_dir():
        cls, found = recognized(Path(target))
        return _construct(cls, found | _fields(overrides))
    if target in DATASETS:
        if not overrides and target in builtin.listed("recipes"):
            click.echo(f"{target} is taken for the data set; the recipe's data are those of {target}.yaml", err=True)
        return _construct(DATASETS[target], _fields(overrides))
    if Path(target).suffix == ".json" and Path(target).is_file():
        raise InputError(f"{target} is one file of annotations, and a data set is more", hint=_coco_hint(Path(target)))
    # One without names goes the same way, because its reader says what it lacks; as a recipe it would lack everything.
    if is_dataset_yaml(Path(target)) or is_nameless_dataset_yaml(Path(target)):
        return _construct(DATASETS["yolo"], {"file": target, **_fields(overrides)})
    return None


def _coco_hint(file: Path) -> str:
    """How to name a COCO file as a part of its data set."""
    fields = f"root={file.parent} train_annotations={file.name} train_images=FOLDER"
    return f"give the folder of the data set, or `coco {fields}` and the same for val in its place"


def recipe_of(target: str, overrides: tuple[str, ...]) -> Recipe:
    """The recipe of a path or a built-in name; InputError if nothing has the name `target`."""
    from spdbuild.data import DATASETS
    from spdbuild.data.files.listing import subfolders
    from spdbuild.training.recipe import load_recipe

    path, recipes = Path(target), builtin.listed("recipes")
    if not path.exists() and path.stem not in recipes:
        beside = [folder.name for folder in subfolders(path.parent)] if path.parent.is_dir() else []
        message = f"there is no '{target}': neither a folder, nor a recipe or the name of a data set"
        raise InputError(message, hint=nearest(path.name, [*beside, *recipes, *DATASETS]))
    return load_recipe(target, overrides)


def with_boxes(data_set: Any) -> Any:
    """The data set for a command that needs boxes; InputError if it has none."""
    if data_set.task != "detection":
        raise InputError(f"the data set '{data_set.name}' has no boxes", hint="this command is for object detection")
    return data_set


def _construct(cls: type[Any], fields: dict[str, Any]) -> Any:
    from spdbuild.declaring.arguments import construct, signature

    signature(cls).bind(0, list(fields))
    return construct(cls, fields)


def _fields(overrides: tuple[str, ...]) -> dict[str, Any]:
    """The fields that `field=value` sets; a value is YAML, as after a key of a recipe."""
    from spdbuild.text.source import Source, parse_yaml
    from spdbuild.training.recipe.overrides import apply_override

    fields = parse_yaml(Source("data set", "{}"))
    for text in overrides:
        if "=" not in text:
            raise InputError(f"'{text}' is not of the form field=value", hint="such as size=64 or on_error=skip")
        fields = apply_override(fields, text)
    found: dict[str, Any] = fields.plain()
    return found
