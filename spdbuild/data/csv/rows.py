"""What the rows of a CSV file say of images, and what is wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spdbuild.data.csv.table import CsvTable
from spdbuild.data.files.named_images import is_absolute
from spdbuild.errors import Problem, nearest
from spdbuild.wording.phrases import cut


@dataclass(frozen=True)
class LabelledRows:
    """For each row: the name of the image, the files below `folder` that it may be, and its label.

    A problem stands for all rows that are wrong in the same way, at the place of the first.
    """

    table: CsvTable
    folder: Path
    names: Sequence[str]
    found: Sequence[Sequence[str]]
    labels: Sequence[str]

    @cached_property
    def files(self) -> list[str]:
        """The file of each image, below `folder`; its name where there is none."""
        return [found[0] if found else name for found, name in zip(self.found, self.names, strict=True)]

    def empty(self, columns: Mapping[str, Sequence[str]]) -> Iterator[Problem]:
        """Values that are missing in columns, by name."""
        for column, values in columns.items():
            rows = [row for row, value in enumerate(values) if not value]
            if rows:
                yield self.table.problem(rows, f"the column '{column}' is empty", "fill it in, or remove the line")

    def repeated(self) -> Iterator[Problem]:
        """Images that come twice, with the same label or with another."""
        first: dict[str, int] = {}
        again = [row for row, file in enumerate(self.files) if first.setdefault(file, row) != row and file]
        two = [row for row in again if self.labels[row] != self.labels[first[self.files[row]]]]
        if two:
            before = first[self.files[two[0]]]
            message = (
                f"{self._image(two[0])} is of the class '{cut(self.labels[two[0]])}', and in line "
                f"{self.table.lines[before]} of '{cut(self.labels[before])}'"
            )
            yield self.table.problem(two, message, "a classifier learns one class for each image: remove one of them")
        same = [row for row in again if self.labels[row] == self.labels[first[self.files[row]]]]
        if same:
            message = f"{self._image(same[0])} is in line {self.table.lines[first[self.files[same[0]]]]} already"
            yield self.table.problem(same, message, "remove one of the lines")

    def unclear(self) -> Iterator[Problem]:
        """Images that may be several files, or are named by an absolute path."""
        rows = [row for row, files in enumerate(self.found) if len(files) > 1]
        if rows:
            message = f"{self._image(rows[0])} may be {' or '.join(sorted(self.found[rows[0]])[:2])}"
            yield self.table.problem(rows, message, "write it with its suffix, or say what all have: suffix: .jpg")
        rows = [row for row, name in enumerate(self.names) if is_absolute(name)]
        if rows:
            message = f"{self._image(rows[0])} is an absolute path"
            yield self.table.problem(rows, message, f"write the path that leads there from {self.folder}")

    def unknown(self, classes: Collection[str], whose: str) -> Iterator[Problem]:
        """Labels that are no class. whose: where the classes are from."""
        rows = [row for row, label in enumerate(self.labels) if label and label not in classes]
        if rows:
            label = self.labels[rows[0]]
            yield self.table.problem(rows, f"'{cut(label)}' is no class of {whose}", nearest(label, classes))

    def missing(self, hint: Callable[[], str]) -> Iterator[Problem]:
        """Images that do not exist."""
        rows = [row for row, name in enumerate(self.names) if name and not self.found[row] and not is_absolute(name)]
        if rows:
            yield self.table.problem(rows, f"{self._image(rows[0])} is not in {self.folder}", hint())

    def _image(self, row: int) -> str:
        return f"the image '{cut(self.names[row])}'"
