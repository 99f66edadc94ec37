"""The architectures and recipes that come with the package."""

from __future__ import annotations

from pathlib import Path

from spdbuild.errors import InputError, nearest

_PACKAGE = Path(__file__).parent


def folder(kind: str) -> Path:
    """The folder of `kind` ("architectures", "recipes"): in the package when installed, beside it in a checkout."""
    installed = _PACKAGE / "share" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def listed(kind: str) -> dict[str, Path]:
    """The files of `kind` by name."""
    return {path.stem: path for path in sorted(folder(kind).glob("*.yaml"))}


def find(name: str, kind: str) -> Path:
    """The file that a person names: a path, or the name of a built-in file with or without `.yaml`.

    A bare name means a built-in file first; a name with `.yaml` or a folder means that file, if there is one.
    """
    path = Path(name)
    known = listed(kind)
    bare = path.name == name and not path.suffix
    if bare and name in known:
        return known[name]
    if path.exists():
        return path
    if path.name == name and path.stem in known:
        return known[path.stem]
    what = kind.removesuffix("s")
    hint = nearest(path.stem, known)
    raise InputError(f"there is no {what} '{name}': neither a file nor a built-in name", hint=hint)


def find_extended(name: str, extending: str | Path, kind: str) -> Path:
    """The file that `extends: name` means in another file: a path relative to that, or else what `find` returns."""
    path = Path(extending).parent / name
    return path if path.is_file() else find(name, kind)
