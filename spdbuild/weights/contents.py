"""The table of contents of a weights file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TensorInfo:
    """A tensor before it is read: its shape, its type by torch's name ("float16"), and its size in bytes."""

    shape: tuple[int, ...]
    dtype: str
    bytes: int


@dataclass(frozen=True)
class WeightsFile:
    """A weights file of which only the table of contents has been read.

    format: safetensors, torch zip, or torch legacy (before version 1.6).
    taken_from: the key of a checkpoint under which the tensors were ("ema"), or empty.
    metadata: texts in the file; under "names" the class names of a third-party checkpoint, as JSON, which may be wrong.
    """

    path: Path
    format: str
    tensors: Mapping[str, TensorInfo]
    taken_from: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    _load: Callable[[], dict[str, Tensor]] = dict
    _keys: Callable[[], tuple[str, ...]] = tuple

    def __post_init__(self) -> None:
        unprintable = next((name for name in self.tensors if not name.isprintable()), None)
        if unprintable is not None:
            raise WeightsError(f"{self.path}: a tensor is called {unprintable!r:.80}")

    @property
    def bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.bytes for tensor in self.tensors.values())

    def load(self) -> dict[str, Tensor]:
        """The tensors by name, on the CPU, in the order of the file."""
        return self._load()

    def other_keys(self) -> tuple[str, ...]:
        """Other keys of the checkpoint under which there are weights."""
        return tuple(key for key in self._keys() if key != self.taken_from)

    def to_dict(self) -> dict[str, Any]:
        """The contents as data for JSON."""
        tensors = [
            {"name": name, "shape": list(info.shape), "dtype": info.dtype, "bytes": info.bytes}
            for name, info in self.tensors.items()
        ]
        about = {"file": str(self.path), "format": self.format, "taken_from": self.taken_from}
        return {**about, "metadata": dict(self.metadata), "tensors": tensors}
