"""Weights as a caller gives them: a file, and which of the networks in it is meant, or a state_dict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild.errors import ArgumentError
from spdbuild.weights.report import Matching
from spdbuild.weights.safetensors_file import file_sha256

if TYPE_CHECKING:
    from torch import Tensor

#: What weights are from that a program gives as tensors.
STATE_DICT = "a state_dict"


@dataclass(frozen=True)
class StoredWeights:
    """The weights of one network in a file.

    file: safetensors file or torch checkpoint.
    key: the one under which a torch checkpoint has the weights, such as model, or ema.model for one within ema; left
        out or None: the moving average if it has one.
    prefix: what stands before the names of the weights, such as "online."; left out or None: that with which
        most fit.
    """

    file: str | Path
    key: str | None = None
    prefix: str | None = None

    @classmethod
    def of(cls, weights: str | Path | StoredWeights) -> StoredWeights:
        """The choice itself, or that of a file in which nothing is chosen; ArgumentError for anything else."""
        if not isinstance(weights, str | Path | StoredWeights):
            kind = type(weights).__name__
            message = f"weights are a file or a state_dict, got an object of {kind}"
            raise ArgumentError(message, argument="weights", hint=_hint(weights))
        return weights if isinstance(weights, StoredWeights) else cls(weights)

    @property
    def path(self) -> Path:
        """The file as a path."""
        return Path(self.file)

    def found(self, matching: Matching) -> StoredWeights:
        """The same weights, with the key and the prefix under which they were found where none were asked for."""
        return replace(self, key=matching.taken_from or None, prefix=matching.prefix or None)

    def origin(self) -> Mapping[str, str]:
        """What the metadata of a file that is made from these weights say about where they are from."""
        chosen = {"source_key": self.key, "source_prefix": self.prefix}
        told = {name: value for name, value in chosen.items() if value}
        return {"source": self.path.name, "source_sha256": file_sha256(self.path), **told}


#: As a caller gives them: a file, perhaps with a choice in it, or a state_dict.
Weights = str | Path | StoredWeights | Mapping[str, "Tensor"]


def weights_from(weights: Weights | None) -> StoredWeights | Mapping[str, Tensor] | None:
    """Weights as a caller gives them: a state_dict as it is, and a file as a choice; ArgumentError for others."""
    return weights if weights is None or isinstance(weights, Mapping) else StoredWeights.of(weights)


def _hint(weights: Any) -> str:
    """What to give in place of something that has a state_dict or comes with one."""
    if hasattr(weights, "state_dict"):
        return "give its state_dict()"
    if isinstance(weights, tuple) and weights and isinstance(weights[0], Mapping):
        return "of what import_weights and export_weights return, give the first: weights[0]"
    return ""
