"""Weights in several safetensors files, with an index that says which tensor is in which file: Hugging Face's format.

The index is JSON: {"weight_map": {"conv.weight": "model-00001-of-00002.safetensors", ...}}; the files lie beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import WeightsError
from spdbuild.weights import safetensors_file
from spdbuild.weights.contents import WeightsFile

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors.index.json"
MAX_INDEX_BYTES = 64 * 2**20


def open_index(path: Path) -> WeightsFile:
    """The contents of all files of an index, as if they were one; raises WeightsError."""
    homes = _homes(path)
    files = {name: safetensors_file.open_file(path.with_name(name)) for name in dict.fromkeys(homes.values())}
    for name, home in homes.items():
        if name not in files[home].tensors:
            raise WeightsError(f"{path}: '{name}' is not in {home}", hint="fetch the files again")

    def load() -> dict[str, Tensor]:
        tensors = {name: file.load() for name, file in files.items()}
        return {name: tensors[home][name] for name, home in homes.items()}

    found = {name: files[home].tensors[name] for name, home in homes.items()}
    return WeightsFile(path, "safetensors", found, _load=load)


def _homes(path: Path) -> dict[str, str]:
    """Tensor -> the name of its file."""
    if path.stat().st_size > MAX_INDEX_BYTES:
        raise WeightsError(f"{path}: the index is larger than {MAX_INDEX_BYTES:,} bytes")
    try:
        homes = json.loads(path.read_bytes())["weight_map"]
        items = dict(homes.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WeightsError(f"{path}: this is no index of weights: it has no 'weight_map' of names") from None
    for name, home in items.items():
        # A name with a folder could lead anywhere on the disk.
        if not isinstance(home, str) or Path(home).name != home or not home.endswith(".safetensors"):
            raise WeightsError(f"{path}: '{name}' lies in {home!r:.80}, which is no safetensors file beside the index")
        if not path.with_name(home).is_file():
            raise WeightsError(f"{path}: the file {home}, in which '{name}' lies, is not there")
    return items
