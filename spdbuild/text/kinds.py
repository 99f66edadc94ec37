"""What a YAML file is for, by its keys: one of another kind than is wanted is refused in one line, not key by key."""

from __future__ import annotations

from typing import Literal

from spdbuild.errors import InputError, SourceError
from spdbuild.text.source import Value

Kind = Literal["architecture", "recipe", "dataset", "rows"]


def is_row_file(root: Value) -> bool:
    """Whether a file looks like one of rows [from, number, module, args] rather than like one of ours."""
    backbone = root.get("backbone")
    first = next(iter(backbone), None) if backbone is not None else None
    return root.get("nc") is not None or (first is not None and isinstance(first.data, list))


def kind_of(root: Value) -> Kind | None:
    """What a file is for; None if its keys do not tell."""
    if _has(root, "architecture", "data"):
        return "recipe"
    if _has(root, "model", "layers", "inputs", "blocks"):
        return "architecture"
    if _has(root, "train", "val") and _has(root, "nc", "names"):
        return "dataset"
    return "rows" if is_row_file(root) else None


def require_kind(root: Value, wanted: Literal["architecture", "recipe"]) -> None:
    """Raise SourceError for a file that is of another kind than `wanted`; one whose kind is not known passes."""
    kind = kind_of(root)
    if kind in (wanted, None) or (wanted == "architecture" and _has(root, "model", "layers")):
        return
    name, place = root.source.name, root.location
    if kind == "architecture":
        raise no_recipe("this", name).at(place)
    if kind == "recipe":
        raise no_architecture("this", root).at(place)
    what, hint = {
        "dataset": ("this describes a data set", f"`spdbuild data recipe {name} -o new.yaml` writes a recipe for it"),
        "rows": (
            "this is a file of rows [from, number, module, args]",
            f"`spdbuild import {name} -o new.yaml` makes an architecture of it",
        ),
    }[str(kind)]
    article = "an" if wanted == "architecture" else "a"
    raise SourceError(f"{what}, and is not {article} {wanted}", location=place, hint=hint)


def no_recipe(what: str, architecture: str) -> InputError:
    """The error for an architecture where a recipe is wanted. what: it, in the message; architecture: its name."""
    hint = f"a recipe names it: architecture: {architecture}; `spdbuild data recipe DATA -o new.yaml` writes a recipe"
    return SourceError(f"{what} is an architecture, not a recipe", hint=hint)


def no_architecture(what: str, root: Value) -> InputError:
    """The error for a recipe, whose keys are `root`, where an architecture is wanted. what: it, in the message."""
    named = root.get("architecture")
    trained = f": {named.data}" if named is not None and isinstance(named.data, str) else ""
    hint = f"name the architecture that it trains{trained}"
    return SourceError(f"{what} is a recipe, not an architecture", hint=hint)


def _has(root: Value, *keys: str) -> bool:
    return any(root.get(key) is not None for key in keys)
