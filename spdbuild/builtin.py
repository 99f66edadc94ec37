"""The architectures and recipes that come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from spdbuild.errors import InputError, nearest, nearest_name
from spdbuild.wording.phrases import cut

_PACKAGE = Path(__file__).parent


def folder(kind: str) -> Path:
    """The folder of `kind` ("architectures", "recipes"): in the package when installed, beside it in a checkout."""
    installed = _PACKAGE / "share" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def listed(kind: str) -> dict[str, Path]:
    """The files of `kind` by name."""
    return {path.stem: path for path in sorted(folder(kind).glob("*.yaml"))}


class NoSuchFileError(InputError):
    """A name that is neither a path nor that of a built-in file."""


def find(name: str, *kinds: str, folder: Path | None = None) -> Path:
    """The file that a person names: a path, or the name of a built-in file of the kinds, with or without `.yaml`.

    A bare name means a built-in file first; a name with `.yaml` or a folder means that file, if there is one. The
    path of a clone, `recipes/quickstart.yaml`, means the built-in file where there is no such file.

    folder: what a path is relative to; None: the current folder.
    Raises NoSuchFileError where there is neither, another InputError for the name of a file of another kind, and gives
    back a folder, which its reader refuses with a better message.
    """
    path = Path(name) if folder is None else Path(os.path.normpath(folder / name))
    known = {stem: file for kind in reversed(kinds) for stem, file in listed(kind).items()}
    is_word = Path(name).name == name
    if is_word and name in known:
        return known[name]
    written = Path(f"{path}.yaml")
    exists = _exists(path)
    if exists and not path.is_dir():
        return path
    if not path.suffix and _exists(written):
        return written
    if is_word and path.suffix == ".yaml" and path.stem in known:
        return known[path.stem]
    if exists:
        return path
    kind = Path(name).parent.as_posix()
    if kind in kinds and path.suffix in ("", ".yaml") and path.stem in listed(kind):
        return listed(kind)[path.stem]
    _refuse_other_kinds(path, kinds)
    what = " or ".join(kind.removesuffix("s") for kind in kinds)
    near = nearest_name(path.name, _yaml_files(path.parent)) if path.suffix == ".yaml" or not is_word else None
    hint = f"did you mean '{path.with_name(near)}'?" if near else nearest(path.stem, known)
    raise NoSuchFileError(f"there is no {what} '{cut(name)}': neither a file nor a built-in name", hint=hint)


def _yaml_files(folder: Path) -> list[str]:
    """The names of the YAML files in a folder; none if it cannot be read."""
    try:
        return [path.name for path in folder.iterdir() if path.suffix == ".yaml"]
    except (OSError, ValueError):
        return []


def _refuse_other_kinds(path: Path, kinds: tuple[str, ...]) -> None:
    """Raise InputError for a path that means a built-in file of none of the kinds: resnet18, architectures/resnet18."""
    from spdbuild.text.kinds import no_architecture, no_recipe
    from spdbuild.text.source import parse_yaml, read_source

    if "recipes" not in kinds and path.parent.name in ("", "recipes") and path.stem in listed("recipes"):
        raise no_architecture(path.stem, parse_yaml(read_source(listed("recipes")[path.stem])))
    within = path.parent.name in ("", "architectures")
    if "architectures" not in kinds and within and path.stem in listed("architectures"):
        raise no_recipe(path.stem, path.stem)


def _exists(path: Path) -> bool:
    """Whether there is such a file or folder; False, and no error, for a text that no path can be."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def find_extended(name: str, extending: str | Path, kind: str) -> Path:
    """The file that `extends: name` means in another file, whose folder a path is relative to."""
    return find(name, kind, folder=Path(extending).parent)
