"""What is wrong with the images and annotations of a data set, one finding for each occurrence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from spdbuild.errors import DataError

Kind = Literal[
    "missing image",
    "missing label file",
    "no label files",
    "label file without image",
    "shared label file",
    "corrupt image",
    "other image size",
    "unreadable annotation file",
    "malformed image entry",
    "image in two splits",
    "duplicate image id",
    "duplicate annotation id",
    "duplicate category",
    "class without objects",
    "other classes",
    "unknown image",
    "unknown category",
    "labels from 1",
    "malformed row",
    "malformed mask",
    "duplicate row",
    "box off image",
    "box outside",
    "zero area",
    "few grey levels",
    "bands left out",
    "keypoints left out",
]

#: Findings that hide objects or images from training and evaluation; the others hide nothing or follow a rule.
GRAVE: frozenset[Kind] = frozenset(
    (
        "missing image",
        "no label files",
        "corrupt image",
        "other image size",
        "unreadable annotation file",
        "malformed image entry",
        "duplicate image id",
        "other classes",
        "unknown image",
        "unknown category",
        "malformed row",
        "box off image",
    )
)

#: Findings each of which stands for an image that a reader has left out.
LOST_IMAGE: frozenset[Kind] = frozenset(
    ("missing image", "corrupt image", "unreadable annotation file", "malformed image entry")
)

#: What to do about findings that are of all labels and not of some.
_OF_ALL: dict[Kind, str] = {
    "no label files": "move the label files there, or rename their folder",
    "labels from 1": (
        "these labels seem to start at 1: lower the first number of every row by 1, or put a name such as unused "
        "before the others under names and say ignore: [unused]"
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    where: the file, with `:line` for a text file; the annotation's number for a JSON file.
    detail: what is wrong there, with the values.
    """

    kind: Kind
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}"


def count(findings: Iterable[Finding]) -> dict[Kind, int]:
    """How often each kind occurs, the most frequent first."""
    return dict(Counter(finding.kind for finding in findings).most_common())


def summary(counts: Mapping[Kind, int]) -> str:
    """How many there are of each kind, and which command names them; empty if there are none."""
    found = ", ".join(f"{number:,} x {kind}" for kind, number in counts.items() if number)
    return f"{found}; `spdbuild data check` names them" if found else ""


def refuse_grave(findings: Iterable[Finding]) -> None:
    """Raise a DataError that counts the grave findings and names the first."""
    findings = tuple(findings)
    grave = [finding for finding in findings if finding.kind in GRAVE]
    if not grave:
        return
    counts = ", ".join(f"{number} x {kind}" for kind, number in count(grave).items())
    # What is wrong with all labels is no matter of some that may be skipped.
    hints = {finding.kind: _OF_ALL[finding.kind] for finding in findings if finding.kind in _OF_ALL}
    raise DataError(
        f"the annotations cannot be used as they are: {counts}; the first: {grave[0]}",
        hint=next(
            iter(hints.values()), "list them all with `spdbuild data check`, and mend them or set on_error: skip"
        ),
    )


def why_no_object(findings: Iterable[Finding]) -> str:
    """A hint for images without an object to learn: what was found in reading them."""
    return summary(count(findings)) or "no file is missing or faulty: the annotations hold no object that counts"
