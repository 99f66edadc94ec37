"""What a weights file says about the data that its model was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spdbuild.errors import WeightsError
from spdbuild.weights.opening import open_weights
from spdbuild.weights.stored import StoredWeights


@dataclass(frozen=True)
class Facts:
    """Facts in the metadata of a file; empty where it says nothing.

    classes: names of the classes. names: those that a third-party file gives them.
    input: shape [C, H, W] of an image as the network got it.
    size: height and width of the images before `preprocess`, if all have the same.
    """

    classes: tuple[str, ...] = ()
    input: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, weights: Path | StoredWeights) -> Facts:
        """The facts of a file; WeightsError if its metadata has something else in their place."""
        chosen = StoredWeights.of(weights)
        file, texts = chosen.path, open_weights(chosen.path, chosen.key).metadata
        kinds = {"classes": str, "input": int, "size": int, "names": str}
        return cls(**{name: _fact(file, name, texts[name], kind) for name, kind in kinds.items() if name in texts})

    def or_else(self, other: Facts) -> Facts:
        """These facts, and those of another file where this one says nothing."""
        return Facts(**{name: fact or getattr(other, name) for name, fact in vars(self).items()})

    def texts(self) -> Mapping[str, str]:
        """The facts as the metadata of a file."""
        return {name: json.dumps(fact) for name, fact in asdict(self).items() if fact or name != "names"}


def _fact(file: Path, name: str, text: str, kind: type[Any]) -> tuple[Any, ...]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or not all(type(entry) is kind for entry in listed):
        raise WeightsError(f"{file}: '{name}' in the metadata is no list of the kind that spdbuild writes: {text:.60}")
    return tuple(listed)
