"""The structure of an architecture file: everything around the calls."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from spdbuild.architecture.line import NAME, NAME_HINT, Call, Line, parse_call, parse_lines
from spdbuild.declaring.arguments import Signature
from spdbuild.errors import Location, Problem, SourceError, SpdbuildError
from spdbuild.phases import Order
from spdbuild.text.expression import ExpressionError, parse_expression
from spdbuild.text.kinds import require_kind
from spdbuild.text.schema import check_schema
from spdbuild.text.source import Source, Value, parse_yaml
from spdbuild.wording.phrases import cut

_NAME = "^[A-Za-z_][A-Za-z0-9_]*$"
_LINES = {
    "type": "array",
    "description": "One call per line: 'name: call(arguments) * count <- inputs'.",
    "items": {"type": ["string", "object"]},
}
_NUMBER_OR_TEXT = {"type": ["number", "string"]}
_COUNT = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    ]
}
_PROPERTIES: dict[str, Any] = {
    "model": {"type": "string", "pattern": _NAME, "description": "Name of the architecture: letters, digits and _."},
    "source": {"type": "string", "description": "Where the architecture was published."},
    "extends": {"type": "string", "description": "Built-in name or path of the architecture that this one changes."},
    "imports": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Python files or modules that register ops of your own.",
    },
    "inputs": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
        },
        "description": "Shape of each input without the batch: {image: [3, 224, 224]}.",
    },
    "vars": {
        "type": "object",
        "propertyNames": {"pattern": _NAME},
        "description": "Numbers, texts and lists that calls use by name; --var name=value changes one.",
    },
    "variants": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[A-Za-z0-9_]+$"},
        "additionalProperties": {"type": "object", "propertyNames": {"pattern": _NAME}},
        "description": "Named sets of vars, of which --variant picks one.",
    },
    "scale": {
        "type": "object",
        "propertyNames": {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$"},
        "additionalProperties": _NUMBER_OR_TEXT,
        "description": "Expression applied to the argument of this name in every section, but not inside blocks; "
        "'linear.out' applies to one op or block, and overrides 'out'.",
    },
    "blocks": {
        "type": "object",
        "maxProperties": 200,
        "additionalProperties": _LINES,
        "description": "Blocks with parameters: 'conv_norm(out, kernel, stride=1)' and their lines.",
    },
    "outputs": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string"},
        "description": "Names of the layers that the model returns; by default the last line.",
    },
    "passes": {
        "type": "array",
        "items": {"type": "string"},
        "description": 'Passes to run, as calls: strided_to_spd(placement="after").',
    },
    "expect": {
        "type": "object",
        "properties": {"parameters": _COUNT, "macs": _COUNT},
        "additionalProperties": False,
        "description": "Known counts, per variant where there are variants; `spdbuild check` compares them.",
    },
    "rename": {
        "type": "object",
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": {
            "type": "object",
            "properties": {
                "space_to_depth": {
                    "enum": list(get_args(Order)),
                    "description": "Order of space_to_depth's channels in these checkpoints, if not the network's.",
                }
            },
            "additionalProperties": {"type": "string"},
        },
        "description": "Tables from our weight names to those of other checkpoints.",
    },
}


def architecture_schema() -> dict[str, Any]:
    """The JSON Schema of architecture files, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spdbuild architecture",
        "type": "object",
        "required": ["model"],
        "properties": _PROPERTIES,
        "additionalProperties": _LINES,
    }


@dataclass(frozen=True, eq=False)
class Block:
    """A block as written: its parameters, the syntax trees of their defaults, and its lines."""

    signature: Signature
    defaults: Mapping[str, ast.expr]
    text: str
    lines: list[Line]
    location: Location
    end: int

    @property
    def name(self) -> str:
        return self.signature.name

    def at(self, offset: int) -> Location:
        """The place of character `offset` of `text`."""
        return _in_key(self.location, offset)


@dataclass(frozen=True, eq=False)
class Document:
    """A parsed file with everything that it inherits.

    values: the value of each key, the file's own or inherited.
    sections: lists of lines by name, in the order of the file; the lines of `layers` have no prefix.
    unread: names that are written where the file could not be read; what uses them makes no further mistake.
    """

    source: Source
    root: Value
    values: Mapping[str, Value]
    blocks: Mapping[str, Block]
    sections: Mapping[str, list[Line]]
    scale: Mapping[str, tuple[ast.expr, Value]]
    passes: tuple[Call, ...]
    unread: frozenset[str] = frozenset()
    base: Document | None = field(default=None, repr=False)

    def plain(self, key: str, default: Any = None) -> Any:
        return self.values[key].plain() if key in self.values else default

    @property
    def model(self) -> str:
        return str(self.plain("model"))

    @property
    def vars(self) -> dict[str, Any]:
        return dict(self.plain("vars") or {})

    @property
    def variants(self) -> dict[str, dict[str, Any]]:
        return dict(self.plain("variants") or {})

    @property
    def inputs(self) -> dict[str, list[int]]:
        # JSON Schema accepts 3.0 as an integer.
        return {name: [int(size) for size in sizes] for name, sizes in (self.plain("inputs") or {}).items()}

    def section_key(self, section: str) -> Location | None:
        """Where the name of a section stands, in this file or in the one that it is inherited from."""
        own = self.root.get(section)
        if own is None and self.base is not None:
            return self.base.section_key(section)
        return own.key if own is not None else None


#: Finds the source that `extends:` names: (name, file of the extending document) -> Source.
Finder = Callable[[str, Source], Source]


def parse_document(source: Source, find: Finder, _extended: tuple[str, ...] = ()) -> Document:
    """The document in `source` and what it extends; all problems of the file are raised together."""
    root = parse_yaml(source)
    require_kind(root, "architecture")
    errors: list[SpdbuildError] = []
    problems = _structure(root)
    if not isinstance(root.data, dict):
        raise SourceError.gather(problems)
    base = _base(root, source, find, _extended)
    broken = {step for p in problems for step in _broken_keys(p, root)}
    own = {key: value for key, value in root.items() if key not in broken}
    unread = {name for key in broken for name in (key, *_keys(root.data[key]))}
    sections = {key: parse_lines(value, errors, unread) for key, value in own.items() if key not in _PROPERTIES}
    # Even if one block is invalid, all are read, so that the lines that use them are not reported as well.
    blocks = dict(_blocks(root.get("blocks"), [] if "blocks" in broken else errors, unread))
    scale = dict(_scale(own.get("scale"), errors))
    passes = tuple(_calls(own.get("passes"), errors))
    values = {key: value for key, value in own.items() if key in _PROPERTIES}
    if base:
        values = _merged(base.values, values)
        blocks, scale = {**base.blocks, **blocks}, {**base.scale, **scale}
        sections, passes = {**base.sections, **sections}, base.passes + passes
    problems += [problem for error in errors for problem in error.problems]
    problems += _missing(root, values, sections, broken)
    document = Document(source, root, values, blocks, sections, scale, passes, frozenset(unread), base)
    if problems:
        raise IncompleteDocument(document, problems)
    return document


class IncompleteDocument(SourceError):
    """A document with mistakes; `document` holds what could be read, so that more mistakes can be gathered."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        super().__init__(problems[0].message)
        self.problems = tuple(problems)
        self.document = document


def _structure(root: Value) -> list[Problem]:
    sections = [key for key, value in root.items() if key not in _PROPERTIES and _is_section(key, value)]
    schema = architecture_schema()
    schema["properties"] = _PROPERTIES | {key: _LINES for key in sections}
    schema["additionalProperties"] = False
    if root.get("extends"):
        schema["required"] = []
    problems = check_schema(root, schema)
    problems += [
        Problem(f"'{key}' cannot be the name of a section", root.data[key].key, NAME_HINT)
        for key in sections
        if not NAME.fullmatch(key)
    ]
    return problems


def _is_section(key: str, value: Value) -> bool:
    """Whether a list of lines is meant, though it may still be empty."""
    return key == "layers" or isinstance(value.data, list | None)


def _broken_keys(problem: Problem, root: Value) -> Iterable[str]:
    """The top-level keys whose text contains the problem."""
    for key, value in root.items():
        place = problem.location
        if place and value.key and (value.key == place or _holds(value, place)):
            yield key


def _keys(value: Value) -> Iterable[str]:
    """The keys of all mappings in a value."""
    for key, entry in value.items() if isinstance(value.data, dict) else ():
        yield from (key, *_keys(entry))
    for entry in value if isinstance(value.data, list) else ():
        yield from _keys(entry)


def _holds(value: Value, place: Location) -> bool:
    index = value.source.index(place.line - 1, place.column - 1)
    return place.file == value.source.name and value.start <= index < max(value.end, value.start + 1)


def _missing(root: Value, values: Mapping[str, Value], sections: Mapping[str, Any], broken: set[str]) -> list[Problem]:
    problems = []
    if not sections and not broken:
        problems.append(Problem("the architecture has no layers", root.location, "list them under 'layers:'"))
    if "inputs" not in values and "inputs" not in broken:
        hint = "write inputs: {image: [3, 224, 224]}"
        problems.append(Problem("the file needs the key 'inputs'", root.location, hint))
    return problems


def _base(root: Value, source: Source, find: Finder, extended: tuple[str, ...]) -> Document | None:
    value = root.get("extends")
    if value is None or not isinstance(value.data, str):
        return None
    try:
        base = find(value.data, source)
    except SpdbuildError as error:
        first = error.problems[0]
        message = first.message if "extends" in first.message else f"extends: {cut(value.data)}: {first.message}"
        raise SourceError(message, location=value.location, hint=first.hint) from None
    chain = (*extended, source.name)
    if base.name in chain:
        raise SourceError(
            f"'{value.data}' extends itself", location=value.location, hint=" -> ".join((*chain, base.name))
        )
    return parse_document(base, find, chain)


def _merged(base: Mapping[str, Value], own: Mapping[str, Value]) -> dict[str, Value]:
    """`vars`, `variants` and `rename` are joined key by key; `expect` is not inherited; the rest is replaced."""
    values = {key: value for key, value in base.items() if key not in ("expect", "extends", "passes")} | dict(own)
    for key in ("vars", "variants", "rename"):
        if key in base and key in own:
            values[key] = replace(own[key], data={**base[key].data, **own[key].data})
    return values


def _blocks(value: Value | None, errors: list[SpdbuildError], unread: set[str]) -> Iterable[tuple[str, Block]]:
    seen: dict[str, Block] = {}
    for text, lines in value.items() if value else ():
        assert lines.key is not None
        try:
            block = _block(text, lines, errors, unread)
        except ExpressionError as error:
            place = _in_key(lines.key, error.offset)
            errors.append(error.at(place, hint="write a block as name(parameter, other=default)"))
            unread.add(text.partition("(")[0].strip())
            continue
        if block.name in seen:
            errors.append(SourceError(f"two blocks are called '{block.name}'", location=lines.key))
            continue
        seen[block.name] = block
        yield block.name, block


def _in_key(key: Location, offset: int) -> Location:
    """The place of a character of a key, which may be quoted."""
    quoted = key.text[key.column - 1 : key.column] in ("'", '"')
    return replace(key, column=key.column + offset + quoted)


def _block(text: str, lines: Value, errors: list[SpdbuildError], unread: set[str]) -> Block:
    tree = parse_expression(text)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise ExpressionError(f"'{text}' is not a block's name and parameters")
    parameters = []
    for item in tree.args:
        if not isinstance(item, ast.Name):
            raise ExpressionError("a parameter must be a name", item)
        parameters.append(item.id)
    defaults = {}
    for keyword in tree.keywords:
        if keyword.arg is None:
            raise ExpressionError("'**' is not allowed here", keyword)
        defaults[keyword.arg] = keyword.value
    names = (*parameters, *defaults)
    for name in names:
        if names.count(name) > 1 or name in ("when", "in_channels"):
            raise ExpressionError(f"'{name}' cannot be a parameter here: the name is taken")
    signature = Signature(tree.func.id, names, frozenset(parameters))
    assert lines.key is not None
    return Block(signature, defaults, text, parse_lines(lines, errors, unread), lines.key, lines.end)


def _scale(value: Value | None, errors: list[SpdbuildError]) -> Iterable[tuple[str, tuple[ast.expr, Value]]]:
    for name, entry in value.items() if value else ():
        try:
            yield name, (parse_expression(str(entry.data)), entry)
        except ExpressionError as error:
            errors.append(error.at(entry.at(error.offset)))


def _calls(value: Value | None, errors: list[SpdbuildError]) -> Iterable[Call]:
    for entry in value or ():
        try:
            yield parse_call(entry)
        except SpdbuildError as error:
            errors.append(error)
