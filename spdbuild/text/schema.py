"""Check YAML values against a JSON Schema; problems have our wording and their places. The only user of jsonschema."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from spdbuild.errors import Problem, nearest, nearest_name
from spdbuild.text.source import Value, decimal_comma
from spdbuild.text.syntax import missing_space

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "empty",
}


def check_schema(value: Value, schema: Mapping[str, Any]) -> list[Problem]:
    """Every way in which `value` is not what `schema` (JSON Schema, draft 2020-12) asks for."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema)
    return [problem for error in validator.iter_errors(value.plain()) for problem in _problems(error, value)]


def describe(data: Any) -> str:
    """A value as a message names it: the text 'abc', a list, true, 3."""
    if data is None:
        return "nothing"
    if isinstance(data, bool):
        return str(data).lower()
    if isinstance(data, str):
        return f"the text '{data}'" if len(data) <= 60 else f"a text of {len(data)} characters"
    if isinstance(data, Mapping):
        return "a mapping"
    if isinstance(data, Iterable):
        return "a list"
    return str(data)


def _problems(error: Any, root: Value) -> Iterable[Problem]:
    path = list(error.absolute_path)
    value = root.find(path)
    name = _dotted(path)
    subject = f"'{name}'" if name else "the file"
    rule, wanted, got = error.validator, error.validator_value, error.instance
    place = value.location
    if rule == "additionalProperties" or rule == "unevaluatedProperties":
        known = set(error.schema.get("properties", {}))
        for key, entry in value.items():
            if key in known or any(_matches(p, key) for p in error.schema.get("patternProperties", {})):
                continue
            where = f"'{name}'" if name else _kind(error.schema)
            yield Problem(f"{where} has no key '{key}'", entry.key, _key_hint(key, value, known))
    elif rule == "required":
        for key in wanted:
            if key not in got:
                merged = next((other for other in got if other.startswith(f"{key}:")), "")
                hint = missing_space(merged) or _description(error.schema, key)
                yield Problem(f"{subject} needs the key '{key}'", place, hint)
    elif rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        expected = " or ".join(_TYPES[kind] for kind in kinds)
        number = _number(got)
        if number is not None and not math.isfinite(number):
            expected = expected.replace("a number", "a finite number")
        hint = _type_hint(got, kinds, error.schema)
        yield Problem(f"{subject} must be {expected}, got {describe(got)}", place, hint)
    elif rule in ("enum", "const"):
        choices = [wanted] if rule == "const" else wanted
        hint = nearest(got, map(str, choices)) if isinstance(got, str) else ""
        if hint.startswith("did you mean"):
            yield Problem(f"{subject} cannot be '{got}'", place, hint)
        else:
            listed = ", ".join(str(choice) for choice in choices)
            yield Problem(f"{subject} must be one of {listed}, got {describe(got)}", place)
    elif rule in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        words = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}
        yield Problem(f"{subject} must be {words.get(rule, 'less than')} {wanted}, got {got}", place)
    elif rule in ("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"):
        most = "at least" if rule.startswith("min") else "at most"
        one, many = {"I": ("entry", "entries"), "P": ("key", "keys"), "L": ("character", "characters")}[rule[3]]
        yield Problem(f"{subject} must have {most} {wanted} {one if wanted == 1 else many}, got {len(got)}", place)
    elif rule in ("anyOf", "oneOf"):
        yield from _alternatives(error, root, subject, place, got)
    elif rule == "pattern" and isinstance(value.data, dict):
        # An error about a key has the path of the mapping.
        hint = "a name has letters, digits and _, without accents"
        if any(sign in got for sign in "()[]"):
            hint = "inside { } a text with a comma needs quotes"
        yield Problem(f"'{got}' cannot be a name", value.data[got].key, hint)
    else:
        yield Problem(f"{subject} is not allowed: {describe(got)}", place, _hint(error.schema))


def _alternatives(error: Any, root: Value, subject: str, place: Any, got: Any) -> Iterable[Problem]:
    # An alternative whose outer type fits is the one that was meant: report what is wrong inside it.
    deeper = [cause for cause in error.context if len(cause.absolute_path) > len(error.absolute_path)]
    fitting = deeper or [c for c in error.context if c.validator not in ("type", "enum", "const")]
    if fitting:
        yield from _problems(fitting[0], root)
        return
    accepted = []
    for cause in error.context:
        if cause.validator == "type":
            kinds = [cause.validator_value] if isinstance(cause.validator_value, str) else cause.validator_value
            accepted += [_TYPES[kind] for kind in kinds]
        elif cause.validator in ("enum", "const"):
            values = cause.validator_value if cause.validator == "enum" else [cause.validator_value]
            accepted += [str(value) for value in values]
    message = f"{subject} must be {' or '.join(dict.fromkeys(accepted))}, got {describe(got)}"
    yield Problem(message, place, _hint(error.schema))


def _matches(pattern: str, key: str) -> bool:
    import re

    return re.search(pattern, key) is not None


def _dotted(path: list[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _kind(schema: Mapping[str, Any]) -> str:
    """What a file with this schema is called."""
    words = str(schema.get("title", "")).removeprefix("spdbuild ")
    return f"a{'n' * words.startswith(tuple('aeiou'))} {words}" if words else "a file of this kind"


def _description(schema: Mapping[str, Any], key: str) -> str:
    wanted = schema.get("properties", {}).get(key, {})
    choices = f": {', '.join(map(str, wanted['enum']))}" if "enum" in wanted else ""
    return f"{wanted.get('description', '')}{choices}"


def _hint(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", ""))


def _key_hint(key: str, mapping: Value, known: set[str]) -> str:
    """What an unknown key of a mapping was probably meant to be."""
    entry = mapping.data[key]
    if key.isdecimal() and entry.data is None:
        others = [other for other in mapping.data.values() if other.source == entry.source and other.end < entry.start]
        return decimal_comma(key, max(others, key=lambda other: other.end, default=None))
    if entry.data is None and key.partition(":")[0] in known:
        return missing_space(key)
    return nearest(key, known)


def _type_hint(got: Any, kinds: list[str], schema: Mapping[str, Any]) -> str:
    """`0,1` and `'0.1'` are meant as numbers, `true` as all defaults of a mapping, `adamw` as the name in one."""
    if got is True and "object" in kinds and not schema.get("required"):
        return "write {} for the defaults"
    if isinstance(got, str) and "array" in kinds and got.startswith("-"):
        return missing_space(got)
    if isinstance(got, str) and "object" in kinds:
        return _name_hint(got, schema)
    number = _number(got)
    if number is None or not math.isfinite(number) or not {"number", "integer"} & set(kinds):
        return ""
    # A whole number with a comma in it is rather a list of them.
    return f"write {number:g}" if "number" in kinds or number.is_integer() else ""


def _name_hint(got: str, schema: Mapping[str, Any]) -> str:
    name = nearest_name(got, map(str, schema.get("properties", {}).get("name", {}).get("enum", ())))
    if name is None:
        return ""
    return f"write {{name: {name}}}" if name == got else f"did you mean {{name: {name}}}?"


def _number(got: Any) -> float | None:
    """The number that a text looks like."""
    if not isinstance(got, str):
        return None
    try:
        return float(got.replace(",", "."))
    except ValueError:
        return None
