"""The dataset YAML of YOLO's files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from spdbuild.data.files.listing import with_slashes
from spdbuild.errors import DataError, MissingSplitError, nearest
from spdbuild.system.files import expanded
from spdbuild.text.source import Value, parse_yaml, read_source

#: The keys of each split, the usual one first.
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True)
class DatasetYaml:
    """The contents of a dataset YAML: class names, the folder that paths start from, and the value of each split.

    keypoints: how many each object has, and how many numbers each keypoint has; None for boxes and outlines.
    """

    file: Path
    names: tuple[str, ...]
    folder: Path
    splits: dict[str, Value]
    keypoints: tuple[int, int] | None

    def paths(self, split: str) -> tuple[Path, ...]:
        """Folders, text files or images of a split; MissingSplitError if it has none or they do not exist."""
        if split not in self.splits:
            raise MissingSplitError(f"{self.file} has no split '{split}'", hint=nearest(split, self.splits))
        value = self.splits[split]
        return tuple(_path(entry, self.folder) for entry in (value.data if isinstance(value.data, list) else [value]))


def read_dataset_yaml(path: Path) -> DatasetYaml:
    """The parts of a dataset YAML that are used: `path`, `train`, `val`, `test`, `names`, `kpt_shape`.

    `valid` and `validation` are synonyms of `val`; other keys may be there.
    """
    root = parse_yaml(read_source(path))
    if not isinstance(root.data, dict):
        raise DataError("a dataset YAML is a mapping with path, train, val and names", location=root.location)
    names = _names(root)
    splits = {
        split: value
        for split, keys in _SPLITS.items()
        if (value := next(filter(None, map(root.get, keys)), None)) is not None and value.data is not None
    }
    return DatasetYaml(path, names, _base(path, root.get("path")), splits, _keypoints(root.get("kpt_shape")))


def is_dataset_yaml(path: Path) -> bool:
    """Whether a file looks like a dataset YAML and not like a recipe: it names classes and a split."""
    root = _with_splits(path)
    return root is not None and root.get("names") is not None


def dataset_yaml_in(folder: Path) -> Path | None:
    """The dataset YAML of a folder, whether or not its names were forgotten; None if it has none of a usual name."""
    files = [folder / name for name in ("data.yaml", "dataset.yaml", f"{folder.resolve().name}.yaml", "data.yml")]
    return next((file for file in files if is_dataset_yaml(file) or is_nameless_dataset_yaml(file)), None)


def is_nameless_dataset_yaml(path: Path) -> bool:
    """Whether a file has a split, no class names, and nothing that makes it a recipe: the names were forgotten."""
    root = _with_splits(path)
    return root is not None and all(root.get(key) is None for key in ("names", "architecture", "data", "extends"))


def _with_splits(path: Path) -> Value | None:
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    root = parse_yaml(read_source(path))
    return root if any(root.get(key) is not None for key in (*_SPLITS["train"], *_SPLITS["val"])) else None


def _names(root: Value) -> tuple[str, ...]:
    value = root.get("names")
    if value is None:
        raise DataError("the dataset YAML has no 'names'", location=root.location, hint="names: [person, car]")
    names = value.plain()
    if isinstance(names, dict):
        numbers = {str(number): number for number in range(len(names))}
        unknown = [key for key in names if key not in numbers]
        if unknown:
            wanted = f"the keys of 'names' must be 0 to {len(names) - 1}, got {unknown[0]}"
            raise DataError(wanted, location=value.location)
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names or any(isinstance(name, list | dict) for name in names):
        raise DataError("'names' must be a list of names or a mapping from numbers to names", location=value.location)
    count = root.get("nc")
    if count is not None and count.data != len(names):
        raise DataError(f"nc is {count.data}, but there are {len(names)} names", location=count.location)
    return tuple(map(str, names))


def _keypoints(value: Value | None) -> tuple[int, int] | None:
    if value is None or value.data is None:
        return None
    match value.plain():
        case [int(count), 2 | 3 as numbers] if count > 0:
            return count, numbers
    message = "'kpt_shape' must be the number of keypoints and how many numbers each has, 2 or 3"
    raise DataError(message, location=value.location, hint="kpt_shape: [17, 3], or leave it out for boxes and outlines")


def _base(yaml: Path, value: Value | None) -> Path:
    """The folder that the splits' paths start from, looked for in the YAML's own folder, then in the current one."""
    if value is None or value.data is None:
        return yaml.parent
    written = expanded(with_slashes(yaml.parent, str(value.data)))
    candidates = [written] if written.is_absolute() else [yaml.parent / written, written]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DataError(
        f"the folder '{written}' of the data set does not exist",
        location=value.location,
        hint="looked for " + " and ".join(map(str, candidates)),
    )


def _path(entry: Value, folder: Path) -> Path:
    if not isinstance(entry.data, str):
        raise DataError("a split is a folder, a text file of paths, or a list of them", location=entry.location)
    written = with_slashes(folder, entry.data)
    path = folder / expanded(written)
    # Roboflow's exports say ../train/images and mean the folder beside the YAML.
    candidates = [path, folder / written.removeprefix("../")]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None and any(sign in written for sign in "*?["):
        message = f"'{entry.data}' is a pattern, and a split is a folder, a text file of paths, or a list of them"
        raise DataError(message, location=entry.location, hint="name the folder: all images below it are taken")
    if found is None:
        raise MissingSplitError(f"'{path}' does not exist", location=entry.location, hint=_meant(written, folder))
    return found


def _meant(written: str, folder: Path) -> str:
    """Where a path of a split that does not exist may lead instead, and what it starts from."""
    start = f"paths start at the YAML's own folder, or at the folder under `path`: here at {folder}"
    if (folder / "images" / written).exists():
        return f"did you mean images/{written}? {start}"
    given = expanded(written)
    if not given.is_absolute() and given.exists():
        return f"did you mean {Path(os.path.relpath(given, folder)).as_posix()}? {start}"
    return start
