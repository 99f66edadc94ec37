"""What a file is: an architecture or a recipe."""

from __future__ import annotations

from spdbuild import builtin
from spdbuild.errors import InputError
from spdbuild.text.kinds import kind_of
from spdbuild.text.source import Source, parse_yaml, read_source


def is_recipe(source: Source, below: tuple[str, ...] = ()) -> bool:
    """Whether the keys of a text are those of a recipe or, if they do not tell, whether it extends one."""
    root = parse_yaml(source)
    kind, base = kind_of(root), root.get("extends")
    if kind is not None or base is None or not isinstance(base.data, str) or source.name in below:
        return kind == "recipe"
    try:
        extended = builtin.find_extended(base.data, source.name, "recipes")
    except InputError:
        return False
    return is_recipe(read_source(extended), (*below, source.name))
