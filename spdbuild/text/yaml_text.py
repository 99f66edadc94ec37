"""Plain data -> YAML text that spdbuild.text.source reads back as the same data."""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from spdbuild.text.source import parse_scalar

#: `.5_` would be a number to readers of YAML 1.1.
_SAFE = re.compile(r"(?:[A-Za-z_/]|\.(?![0-9]))[\w./*+-]*(?: [\w./*+-]+)*")

#: Texts that are booleans to readers of YAML 1.1, such as PyYAML.
_BOOLEANS = frozenset(("yes", "no", "on", "off"))


def yaml_text(data: Mapping[str, Any]) -> str:
    """A mapping in block style; lists of plain values on one line."""
    return "\n".join(_mapping(data, 0)) + "\n"


def _mapping(data: Mapping[str, Any], indent: int) -> list[str]:
    lines = []
    for key, value in data.items():
        head = " " * indent + _text(key) + ":"
        if isinstance(value, Mapping) and value:
            lines += [head, *_mapping(value, indent + 2)]
        elif isinstance(value, list) and any(isinstance(item, Mapping) and item for item in value):
            lines += [head, *(line for item in value for line in _item(item, indent + 2))]
        else:
            lines.append(f"{head} {inline(value)}")
    return lines


def _item(value: Any, indent: int) -> list[str]:
    dash = " " * indent + "- "
    if not isinstance(value, Mapping) or not value:
        return [dash + inline(value)]
    first, *rest = _mapping(value, indent + 2)
    return [dash + first.lstrip(), *rest]


def inline(value: Any) -> str:
    """A value in flow style, on one line; paths and numpy's numbers as what they stand for."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, str | PurePath):
        return _text(str(value))
    if not isinstance(value, int | float) and isinstance(value, numbers.Real):
        return inline(int(value) if isinstance(value, numbers.Integral) else float(value))
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    text = json.dumps(value)
    # 1e-08 without a dot is a text to readers of YAML 1.1, such as PyYAML.
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


def _text(text: str) -> str:
    """A text as a plain scalar where that is read back as the same text, else in double quotes."""
    plain = _SAFE.fullmatch(text) and isinstance(parse_scalar(text), str) and text.lower() not in _BOOLEANS
    if plain:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
