"""Standard JSON: a number that is not finite becomes null, which every reader understands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_text(document: Any, indent: int | None = None) -> str:
    """The document as text. Python by itself writes NaN and Infinity, which other programs refuse to read."""
    return json.dumps(finite(document), indent=indent, allow_nan=False)


def finite(document: Any) -> Any:
    """The document with None in place of numbers that are not finite."""
    if isinstance(document, Mapping):
        return {key: finite(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return list(map(finite, document))
    return None if isinstance(document, float) and not math.isfinite(document) else document
