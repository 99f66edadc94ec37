"""Reading and writing safetensors; the only user of that library."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild import __version__
from spdbuild.errors import WeightsError
from spdbuild.system.files import is_text, write_whole
from spdbuild.weights.contents import TensorInfo, WeightsFile

if TYPE_CHECKING:
    from torch import Tensor


def open_file(path: Path) -> WeightsFile:
    """The contents of a safetensors file; raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.offset_keys()}
            tensors = {name: _info(part.get_shape(), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: the safetensors file is damaged: {error}", hint="fetch the file again") from None
    return WeightsFile(path, "safetensors", tensors, "", metadata, lambda: _load(path))


def _info(shape: list[int], dtype: str) -> TensorInfo:
    """The header's entry in torch's terms: F16 is float16, BF16 is bfloat16."""
    kinds = {"BF": "bfloat", "F": "float", "I": "int", "U": "uint", "BOOL": "bool", "C": "complex"}
    letters = dtype.split("_")[0].rstrip("0123456789")
    name = kinds.get(letters, letters.lower()) + dtype[len(letters) :].lower()
    bits = int("".join(filter(str.isdigit, dtype.split("_")[0])) or 8)
    return TensorInfo(tuple(shape), name, math.prod(shape) * bits // 8)


def _load(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load, load_file

    # The library maps no other files.
    return load_file(path) if is_text(path) else load(path.read_bytes())


def save_weights(path: Path | str, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all.

    metadata: texts that go into the file, such as the name of the architecture; spdbuild's version is added.
    """
    path = Path(path)
    texts = {"format": "pt", "spdbuild": __version__, **(metadata or {})}
    tensors = _untied(state_dict)
    write_whole(path, lambda beside: _fill(beside, tensors, texts), failure=WeightsError)


def _untied(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without shared memory: tied weights are written out in full, because safetensors has no references."""
    tensors: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, given in state_dict.items():
        tensor = given.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        whole = storage.nbytes() == tensor.numel() * tensor.element_size()
        if not whole or storage.data_ptr() in taken:
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        tensors[name] = tensor
    return tensors


def _fill(path: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write the file; raises OSError, whose number the library gives only in its message."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, dict(texts))
        _sort_texts(path)
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from None


def _sort_texts(path: Path) -> None:
    """Sort the metadata, which the library writes in random order, so that the same weights make the same file."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        sorted_header = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
        # A longer one would end in the tensors.
        if len(sorted_header) == length:
            file.seek(8)
            file.write(sorted_header)


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
