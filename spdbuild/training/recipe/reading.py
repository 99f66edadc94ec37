"""Reading recipes from files and texts, with what they extend, their overrides, and the twins that they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spdbuild import builtin
from spdbuild.conversion.convert import settled
from spdbuild.errors import ArgumentError, RecipeError, SourceError, SpdbuildError
from spdbuild.loading import Architecture, is_text, reference_to, source_of
from spdbuild.text.kinds import require_kind
from spdbuild.text.schema import check_schema
from spdbuild.text.source import Source, Value, parse_yaml, read_source
from spdbuild.text.yaml_text import inline, yaml_text
from spdbuild.training.folder.run_folder import TAKEN
from spdbuild.training.recipe.completing import completed, spelled_out, titled
from spdbuild.training.recipe.hints import advised
from spdbuild.training.recipe.overrides import Overrides, apply_override, listed, merged, refuse_spaces, with_renaming
from spdbuild.training.recipe.recipe import Recipe, folder_fault
from spdbuild.training.recipe.schema import complete_schema
from spdbuild.training.recipe.sections import read_section


def load_recipe(recipe: str | Path | Mapping[str, Any], overrides: Overrides = ()) -> Recipe:
    """The recipe of a path, a built-in name, YAML text or a mapping of keys, whose networks may be Architectures.

    overrides: `key.path=value` and `~key.path`, applied in order; or a mapping of key paths to values.

    Raises SpdbuildError with the place of everything that is wrong.
    """
    value, texts = _read(_source(recipe)), listed(overrides)
    refuse_spaces(texts)
    for text in texts:
        value = apply_override(spelled_out(value), text)
    _refuse_extends(value, "name that recipe in place of this one")
    value = completed(titled(value))
    problems = check_schema(value, complete_schema())
    if problems:
        name = str(recipe) if isinstance(recipe, str | Path) and not is_text(str(recipe)) else "RECIPE"
        raise RecipeError.gather(with_renaming(advised(problems, value, name), value))
    try:
        read: Recipe = read_section(Recipe, value)
    except SpdbuildError as error:
        error.problems = tuple(with_renaming(error.problems, value))
        raise
    twins(read, value)
    return read


def _source(recipe: str | Path | Mapping[str, Any]) -> Source:
    if isinstance(recipe, Mapping):
        return Source("recipe", _text(_with_references(recipe)))
    if isinstance(recipe, str | Path):
        return source_of(recipe, "recipes")
    wanted = "a path, a built-in name, YAML text or a mapping of keys"
    raise ArgumentError(f"a recipe is {wanted}, got an object of {type(recipe).__name__}", argument="recipe")


def _with_references(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with keys in place of each Architecture in it, those of twins and of a teacher included."""
    run, compare = recipe.get("architecture"), recipe.get("compare")
    if isinstance(run, Architecture) and isinstance(compare, Mapping) and any(map(_brings_a_network, compare.values())):
        # The vars that were chosen for the run would be those of its twins, too.
        recipe = {**recipe, "architecture": settled(run)}
    found = _described(recipe)
    teacher = found.get("distill")
    if isinstance(compare, Mapping):
        # The variant and the input of the run itself would be those of its twins, too.
        found["compare"] = {name: _described(keys, {"variant": None, "input": None}) for name, keys in compare.items()}
    return {**found, "distill": _described(teacher)} if teacher is not None else found


def _brings_a_network(keys: Any) -> bool:
    return isinstance(keys, Mapping) and isinstance(keys.get("architecture"), Architecture)


def _described(keys: Any, others: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Keys with an Architecture under `architecture` -> with what finds it, and what was chosen when it was loaded.

    others: keys that an Architecture brings although nothing was chosen.
    """
    if not isinstance(keys, Mapping):
        return keys
    chosen, found = keys.get("architecture"), dict(keys)
    if not isinstance(chosen, Architecture):
        return found
    own: dict[str, Any] = dict(others)
    if chosen.variant is not None:
        own["variant"] = chosen.variant
    if chosen.inputs is not None:
        own["input"] = chosen.inputs[0]
    given = keys.get("vars")
    if chosen.vars and (given is None or isinstance(given, Mapping)):
        found["vars"] = {**chosen.vars, **(given or {})}
    return {**own, **found, "architecture": reference_to(chosen)}


def _text(recipe: Mapping[str, Any]) -> str:
    """The mapping as YAML; ArgumentError for what YAML cannot hold."""
    try:
        return yaml_text(recipe)
    except (TypeError, ValueError):
        key, value = next(_misfits(recipe, ""))
        message = f"the value of '{key}', of type {type(value).__name__}, is none of YAML"
        raise ArgumentError(message, argument=key, hint="give numbers, texts, lists and mappings") from None


def _misfits(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """What YAML cannot hold, under the dotted keys that lead to it."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _misfits(entry, f"{key}.{name}" if key else str(name))
            if not isinstance(name, str):
                yield f"{key}.{name}" if key else str(name), name
    elif isinstance(value, list | tuple):
        for index, entry in enumerate(value):
            yield from _misfits(entry, f"{key}.{index}")
    else:
        try:
            inline(value)
        except (TypeError, ValueError):
            yield key, value


def twins(recipe: Recipe, value: Value | None = None) -> dict[str, Recipe]:
    """The further recipes that `compare` asks for, by name."""
    root = value or parse_yaml(Source("recipe", recipe.resolved()))
    entries = root.get("compare")
    # On some disks upper and lower case are one.
    taken = {name.casefold(): "the run itself" for name in (*TAKEN, recipe.title or "run")}
    read = dict[str, Recipe]()
    for name, changes in entries.items() if entries else ():
        read[name] = _twin(root, name, changes, taken)
        taken[name.casefold()] = f"the twin '{name}'"
    return read


def _twin(root: Value, name: str, changes: Value, taken: Mapping[str, str]) -> Recipe:
    """The recipe `root` with some keys changed, under its own name.

    taken: who has a name already, by the name in lower case.
    """
    if not isinstance(changes.data, dict):
        raise RecipeError("a twin is a mapping of the keys that differ", location=changes.location)
    owner = taken.get(name.casefold())
    fault = folder_fault(name) or (f"is taken by {owner}" if owner else "")
    if fault:
        hint = "each twin has a folder of this name in that of the run; upper and lower case count as one"
        raise RecipeError(f"the twin's name '{name}' {fault}", location=changes.location, hint=hint)
    if "expect" in changes.data:
        message = "a twin has nothing to reach: 'expect' is for the run that it is compared with"
        raise RecipeError(message, location=changes.data["expect"].location)
    _refuse_extends(changes, "write the keys themselves that differ")
    alone = replace(root, data={key: entry for key, entry in root.data.items() if key != "compare"})
    twin = completed(merged(alone, changes))
    problems = check_schema(twin, complete_schema())
    if problems:
        raise RecipeError.gather(advised(problems, twin, "RECIPE"))
    read: Recipe = read_section(Recipe, twin)
    return replace(read, title=name)


def _read(source: Source, below: tuple[str, ...] = ()) -> Value:
    """The mapping of a source, merged onto that of the recipe it extends."""
    value = parse_yaml(source)
    if not isinstance(value.data, dict):
        raise SourceError("a recipe is a mapping of keys", location=value.location, hint="architecture: resnet50")
    require_kind(value, "recipe")
    base = value.get("extends")
    if base is None or not isinstance(base.data, str):
        return value
    if source.name in below:
        raise RecipeError(f"'{source.name}' extends itself", location=base.location)
    try:
        extended = builtin.find_extended(base.data, source.name, "recipes")
        parent = _read(read_source(extended), (*below, source.name))
    except SpdbuildError as error:
        raise error.at(base.location) from None
    own = replace(value, data={key: entry for key, entry in value.data.items() if key != "extends"})
    return merged(parent, own)


def _refuse_extends(value: Value, hint: str) -> None:
    """Refuse `extends` outside of a recipe's file; reading a file removes the key."""
    given = value.get("extends")
    if given is not None and isinstance(given.data, str):
        raise RecipeError("'extends' is for the file of a recipe", location=given.key, hint=hint)
