"""What became of every tensor when weights were matched."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from spdbuild.text.yaml_text import inline

#: loaded: as it was; cast: to another floating type; permuted: rearranged (and cast, if the note says so); initial: the
#: file is too old to have it and its value is known; mismatch: both sides have it, in different shapes or types;
#: missing: the model has it and the file does not; unused: the file has it and the model does not.
Status = Literal["loaded", "cast", "permuted", "initial", "mismatch", "missing", "unused"]
STATUSES: tuple[Status, ...] = ("loaded", "cast", "permuted", "initial", "mismatch", "missing", "unused")


@dataclass(frozen=True)
class Entry:
    """One tensor. name: ours, if we have it. theirs: the one looked up in the file. note: what was done or is wrong."""

    status: Status
    name: str | None
    theirs: str | None
    shape: tuple[int, ...] | None = None
    their_shape: tuple[int, ...] | None = None
    note: str = ""


@dataclass(frozen=True)
class Matching:
    """Every tensor of the model in order, followed by the unused ones of the file.

    table: the rename table that was used, or empty if the names are ours.
    prefix: what stands before the names in the file, as in "module.conv1.weight".
    taken_from: the key of a checkpoint under which the tensors were ("ema"), or empty.
    other_keys: those under which it has more weights, if these do not fit.
    """

    entries: tuple[Entry, ...]
    table: str = ""
    prefix: str = ""
    taken_from: str = ""
    other_keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in self.counts.items() if number)
        return f"Matching({counts or 'no tensors'})"

    @property
    def counts(self) -> Mapping[Status, int]:
        """How many tensors have each status; all statuses are present."""
        found = Counter(entry.status for entry in self.entries)
        return {status: found[status] for status in STATUSES}

    @property
    def fits(self) -> bool:
        """Whether nothing is missing, unused or of another shape."""
        return not any(self.counts[status] for status in ("mismatch", "missing", "unused"))

    def having(self, status: Status) -> list[Entry]:
        return [entry for entry in self.entries if entry.status == status]

    def to_dict(self) -> dict[str, Any]:
        """The matching as data for JSON."""
        tensors = [
            {
                "name": entry.name,
                "theirs": entry.theirs,
                "status": entry.status,
                "shape": entry.shape and list(entry.shape),
                "their_shape": entry.their_shape and list(entry.their_shape),
                "note": entry.note,
            }
            for entry in self.entries
        ]
        about = {"taken_from": self.taken_from, "table": self.table, "prefix": self.prefix}
        return {**about, "counts": dict(self.counts), "tensors": tensors}


def choice_hint(option: str, value: str) -> str:
    """How a person chooses one of several networks in a file by the option `key` or `prefix`."""
    python = f"{option}={value!r} in StoredWeights or import_weights"
    recipe = f"weights: {{file: ..., {option}: {inline(value)}}}"
    return f"--{option} {shlex.quote(value)}, or in a recipe {recipe} (from Python: {python})"
