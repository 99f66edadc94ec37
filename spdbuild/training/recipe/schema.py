"""The JSON Schema of a complete recipe, and that of one as it is written, where keys with defaults are optional."""

from __future__ import annotations

from typing import Any

from spdbuild.training.recipe.recipe import Recipe
from spdbuild.training.recipe.sections import Schema, section_schema

#: Sections whose `name` has a default: the task that the data is for, its loss, the default optimizer and schedule.
_NAMED_BY_DEFAULT = ("task", "optimizer", "schedule", "loss")


def recipe_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a recipe as it is written, where `extends` and defaults supply the rest."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | _as_written(complete_schema())


def complete_schema() -> Schema:
    """The schema of a completed recipe, made from the fields of everything that is registered."""
    schema = section_schema(Recipe)
    schema["properties"]["extends"] = {"type": "string", "description": "a recipe whose keys are the defaults here"}
    return {"title": "spdbuild recipe", **schema}


def _as_written(complete: Schema) -> Schema:
    """The schema of recipes that are `complete` once what they extend and the defaults have been filled in."""
    schema: Schema = _lenient(complete)
    keys = schema["properties"]
    for choice in (keys["task"], keys["sampling"], keys["init"]["additionalProperties"]):
        choice["anyOf"] = [{"type": choice.pop("type")}, {"enum": choice["properties"]["name"]["enum"]}]
    demands = _demands(complete)
    for key in _NAMED_BY_DEFAULT:
        demands["properties"][key].pop("required")
    # What a recipe leaves out may be in the one it extends, which is not known here.
    return {**schema, "if": {"required": ["extends"]}, "else": demands}


def _lenient(schema: Any) -> Any:
    """`schema` without required keys, except in the entries of lists, which `extends` replaces as a whole."""
    if isinstance(schema, list):
        return [_lenient(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "required" or not isinstance(value, list)}
    lenient = {key: value if key in ("if", "items") else _lenient(value) for key, value in kept.items()}
    return lenient | _known_keys(schema)


def _known_keys(schema: Schema) -> Schema:
    """For a section whose `name` picks a member: only keys that some member has, whether the name is given or not."""
    keys = [key for branch in schema.get("allOf", ()) for key in branch["then"]["properties"]]
    return {"propertyNames": {"enum": list(dict.fromkeys(keys))}} if keys else {}


def _demands(schema: Schema) -> Schema:
    """Only the required keys of `schema`, nested as its sections are."""
    demands: Schema = {"required": schema["required"]} if schema.get("required") else {}
    inner = {key: _demands(entry) for key, entry in schema.get("properties", {}).items()}
    if found := {key: entry for key, entry in inner.items() if entry}:
        demands["properties"] = found
    each = schema.get("additionalProperties")
    if each and (needed := _demands(each)):
        demands["additionalProperties"] = needed
    branches = [{"if": branch["if"], "then": _demands(branch["then"])} for branch in schema.get("allOf", ())]
    if asking := [branch for branch in branches if branch["then"]]:
        demands["allOf"] = asking
    return demands
