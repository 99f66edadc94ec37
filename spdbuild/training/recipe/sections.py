"""Dataclasses as sections of a YAML file: their JSON Schema, reading them from values, writing them as plain data.

A field's type determines its schema, its default the default, and a line `field: text` of the class's docstring its
description. A field of type `Annotated[Base, REGISTRY]` holds any registered dataclass, which the key `name` picks;
one of type `Annotated[str, REGISTRY]` holds the name alone. A class with a `short` may also be a string, the value
of the field of that name, which is put under its key before the section is read.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

from spdbuild.declaring.arguments import default_of, fit, type_hints
from spdbuild.declaring.docstrings import documentation
from spdbuild.declaring.registry import Registry
from spdbuild.errors import ArgumentError, SpdbuildError
from spdbuild.text.source import Value
from spdbuild.training.recipe.places import Placed

Schema = dict[str, Any]

_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def section_schema(cls: type[Any]) -> Schema:
    """The JSON Schema of a mapping that gives the fields of the dataclass `cls`."""
    told = documentation(cls)
    properties = {}
    for field in fields_of(cls):
        schema = _type_schema(type_hints(cls, annotated=True)[field.name])
        if field.name in told.arguments:
            schema = {"description": told.arguments[field.name], **schema}
        default = default_of(field)
        if default is not dataclasses.MISSING:
            schema = {**schema, "default": plain(default)}
        properties[field.name] = schema
    required = [f.name for f in fields_of(cls) if default_of(f) is dataclasses.MISSING]
    return {
        "type": ["object", "string"] if hasattr(cls, "short") else "object",
        "description": told.summary,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def read_section(cls: type[Any], value: Value) -> Any:
    """An instance of `cls` from a mapping that its schema allows; errors of `cls` itself get their place."""
    read: dict[str, Any] = {}
    for key, entry in value.items():
        read[key] = _read(type_hints(cls, annotated=True)[key], entry, key)
    if issubclass(cls, Placed):
        read["places"] = value
    try:
        return cls(**read)
    except ArgumentError as error:
        raise _placed(error, value) from None


def plain(value: Any) -> Any:
    """Dataclasses as mappings, a registered one with its `name` first; tuples as lists; the rest as it is."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        name = getattr(type(value), "name", "")
        named = {"name": name} if name else {}
        return named | {field.name: plain(getattr(value, field.name)) for field in fields_of(type(value))}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def fields_of(cls: type[Any]) -> list[dataclasses.Field[Any]]:
    """The fields of a section that are keys of the file."""
    placed = {field.name for field in dataclasses.fields(Placed)}
    return [field for field in dataclasses.fields(cls) if field.init and field.name not in placed]


def section_below(cls: type[Any], key: str, values: Mapping[str, Any]) -> type[Any] | None:
    """The dataclass whose fields the keys below `key` of `cls` are; None for free-form keys.

    values: what is below the key, as `plain` returns it.
    """
    hint = type_hints(cls, annotated=True)[key]
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
    section = next(filter(_is_section, kinds), None)
    if typing.get_origin(section) is Annotated:
        registry = typing.get_args(section)[1]
        chosen: type[Any] = registry[values["name"]]
        return chosen
    return section


def _type_schema(hint: Any) -> Schema:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return {"enum": list(inner[1])} if inner[0] is str else _choice_schema(inner[1])
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return _union_schema(inner)
    if origin is tuple:
        return _tuple_schema(inner)
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _type_schema(inner[1])}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return section_schema(hint)
    return {}


def _union_schema(inner: tuple[Any, ...]) -> Schema:
    schemas = [_type_schema(kind) for kind in inner]
    if all(set(schema) == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    # One mapping or nothing: written without `anyOf`, so that errors inside it are reported themselves.
    mappings = [schema for schema in schemas if "object" in _kinds(schema)]
    if len(schemas) == 2 and {"type": "null"} in schemas and mappings:
        return {**mappings[0], "type": [*_kinds(mappings[0]), "null"]}
    return {"anyOf": schemas}


def _kinds(schema: Schema) -> list[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _tuple_schema(inner: tuple[Any, ...]) -> Schema:
    if len(inner) == 2 and inner[1] is Ellipsis:
        items = {"type": "array", "items": _type_schema(inner[0])}
        return {"anyOf": [items, {"type": "string"}]} if inner[0] is str else items
    return {
        "type": "array",
        "prefixItems": [_type_schema(kind) for kind in inner],
        "minItems": len(inner),
        "maxItems": len(inner),
    }


def _choice_schema(registry: Registry[Any]) -> Schema:
    """A mapping whose `name` is a member of `registry` and whose other keys are that member's fields."""
    branches = []
    for name, cls in registry.items():
        schema = section_schema(cls)
        schema["properties"] = {"name": {"const": name}, **schema["properties"]}
        chosen = {"type": "object", "properties": {"name": {"const": name}}, "required": ["name"]}
        branches.append({"if": chosen, "then": schema})
    return {
        "type": "object",
        "properties": {"name": {"enum": list(registry), "description": f"which {registry.kind}"}},
        "required": ["name"],
        "allOf": branches,
    }


def _read(hint: Any, value: Value, name: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return value.plain() if inner[0] is str else _read_choice(inner[1], value)
    if origin in (Union, types.UnionType):
        if value.data is None and type(None) in inner:
            return None
        sections = [kind for kind in inner if _is_section(kind)]
        if sections:
            return _read(sections[0], value, name)
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis and isinstance(value.data, list):
        return tuple(_read(inner[0], item, name) for item in value)
    if origin in (dict, Mapping) and isinstance(value.data, dict):
        return {key: _read(inner[1], entry, key) for key, entry in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return read_section(hint, value)
    try:
        return fit(value.plain(), hint, name)
    except ArgumentError as error:
        raise error.at(value.location) from None


def _read_choice(registry: Registry[Any], value: Value) -> Any:
    chosen = value.get("name")
    cls = registry[chosen.plain() if chosen else ""]
    rest = {key: entry for key, entry in value.items() if key != "name"}
    return read_section(cls, dataclasses.replace(value, data=rest))


def _is_section(hint: Any) -> bool:
    return typing.get_origin(hint) is Annotated or (dataclasses.is_dataclass(hint) and isinstance(hint, type))


def _placed(error: ArgumentError, value: Value) -> SpdbuildError:
    return error.at(value.find([*error.argument.split(".")]).location)
