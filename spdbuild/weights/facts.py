"""What a file of weights says of the data that its model was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spdbuild.errors import WeightsError
from spdbuild.weights.files import open_weights


@dataclass(frozen=True)
class Facts:
    """Facts in the metadata of a file; empty where it says nothing.

    classes: names of the classes. names: what other people's file calls them.
    input: shape [C, H, W] of what the network got of an image.
    size: height and width of all images before `preprocess`, if they have one.
    """

    classes: tuple[str, ...] = ()
    input: tuple[int, ...] = ()
    size: tuple[int, ...] = ()
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, file: Path) -> Facts:
        """Those of a file; WeightsError if what stands there is something else."""
        texts = open_weights(file).metadata
        kinds = {"classes": str, "input": int, "size": int, "names": str}
        return cls(**{name: _fact(file, name, texts[name], kind) for name, kind in kinds.items() if name in texts})

    def texts(self) -> Mapping[str, str]:
        """As the metadata of a file."""
        return {name: json.dumps(fact) for name, fact in asdict(self).items() if fact or name != "names"}


def _fact(file: Path, name: str, text: str, kind: type[Any]) -> tuple[Any, ...]:
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or not all(type(entry) is kind for entry in listed):
        raise WeightsError(f"{file}: '{name}' in the metadata is no list of the kind that spdbuild writes: {text:.60}")
    return tuple(listed)
