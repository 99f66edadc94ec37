"""What a file is: an architecture or a recipe."""

from __future__ import annotations

from spdbuild import builtin
from spdbuild.errors import InputError
from spdbuild.text.source import Source, parse_yaml, read_source


def is_recipe(source: Source, below: tuple[str, ...] = ()) -> bool:
    """Whether the text names an architecture or data to train on, or extends a recipe."""
    root = parse_yaml(source)
    base = root.get("extends")
    if root.get("architecture") or root.get("data"):
        return True
    if base is None or not isinstance(base.data, str) or root.get("model") or source.name in below:
        return False
    try:
        extended = builtin.find_extended(base.data, source.name, "recipes")
    except InputError:
        return False
    return is_recipe(read_source(extended), (*below, source.name))
