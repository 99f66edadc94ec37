"""Checkpoints of torch, in either format: their tensors without their code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import WeightsError
from spdbuild.weights.contents import TensorInfo, WeightsFile
from spdbuild.weights.stand_ins import StoredTensor
from spdbuild.weights.state_dict import find_class_names, find_tensors, keys_of_weights
from spdbuild.weights.torch_legacy import TorchLegacy
from spdbuild.weights.torch_zip import TorchZip

if TYPE_CHECKING:
    from torch import Tensor

#: Tensors may share a storage in the file, and get their own when read; no model shares by a greater factor than this.
MAX_SHARING = 8


def open_file(file: TorchZip | TorchLegacy, form: str, key: str | None = None) -> WeightsFile:
    """The contents of what torch.save has written; raises WeightsError. form: what its format is called."""
    path = file.path
    try:
        saved = file.read_object()
        stored, taken_from = find_tensors(saved, key)
    except WeightsError as error:
        raise _named(error, path) from None
    total, size = sum(tensor.bytes for tensor in stored.values()), path.stat().st_size
    if total > MAX_SHARING * size:
        raise WeightsError(f"{path}: the tensors claim {total:,} bytes, but the file has {size:,}")
    tensors = {name: TensorInfo(tensor.shape, tensor.dtype, tensor.bytes) for name, tensor in stored.items()}
    names = find_class_names(saved, taken_from)
    facts = {"names": json.dumps(names)} if names else {}
    return WeightsFile(
        path, form, tensors, taken_from, facts, lambda: _load(stored, file), lambda: keys_of_weights(saved)
    )


def _named(error: WeightsError, path: Path) -> WeightsError:
    """The error, prefixed with the name of the file, and without what a terminal would take for commands."""
    problem = error.problems[0]
    message = problem.message if problem.message.startswith(str(path)) else f"{path}: {problem.message}"
    return WeightsError("".join(c if c.isprintable() else "?" for c in message), hint=problem.hint)


def _load(stored: Mapping[str, StoredTensor], file: TorchZip | TorchLegacy) -> dict[str, Tensor]:
    """The tensors, each with memory of its own; a storage is in memory once and only while it is needed."""
    users: dict[str, list[str]] = {}
    for name, tensor in stored.items():
        users.setdefault(tensor.storage.key, []).append(name)
    loaded = {name: _tensor(stored[name], raw) for key, raw in file.read_storages(users) for name in users[key]}
    return {name: loaded[name] for name in stored}


def _tensor(stored: StoredTensor, raw: bytearray) -> Tensor:
    import torch

    dtype = getattr(torch, stored.dtype)
    if not raw:
        return torch.empty(stored.shape, dtype=dtype)
    start = stored.storage.start + stored.offset
    return torch.frombuffer(raw, dtype=dtype).as_strided(stored.shape, stored.stride, start).clone()
