"""Which columns of a CSV file have the images and which their labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spdbuild.data.csv.table import CsvTable
from spdbuild.data.files.decoding import is_image_name
from spdbuild.errors import DataError, nearest
from spdbuild.wording.phrases import some

#: What columns are usually called, the surest name first, in lower case and without anything between words.
_IMAGES = (
    *("image", "imagepath", "imagefile", "imagename", "filename", "filepath", "file", "path", "imageid", "img"),
    *("imgname", "imgpath", "imgid", "idcode", "name", "id"),
)
_LABELS = (
    *("label", "labels", "class", "classname", "labelname", "target", "category", "classid", "labelid", "categoryid"),
    *("diagnosis", "species", "y"),
)


@dataclass(frozen=True)
class Columns:
    """The names of the two columns."""

    image: str
    label: str


def columns_of(table: CsvTable, image: str, label: str) -> Columns:
    """The columns of a file; raises DataError if they cannot be told.

    image, label: their names where they are known. Otherwise they are those of usual names, and if there are but two
    columns, the one that is left.
    """
    for key, name in (("image_column", image), ("label_column", label)):
        if name:
            require_column(table, name, f"as {key} says")
    # pandas writes the numbers of its rows into a first column without a name.
    named = [name for name in table.header if name and not name.startswith("Unnamed:")]
    image = image or _usual(named, _IMAGES, label)
    label = label or _usual(named, _LABELS, image)
    if len(named) == 2 and (image or label):
        image, label = image or _other(named, label), label or _other(named, image)
    if not image or not label:
        raise _untold(
            table, named, image or label, *(("label_column", "labels") if image else ("image_column", "images"))
        )
    for name in (image, label):
        require_column(table, name)
    return Columns(image, label)


def require_column(table: CsvTable, name: str, why: str = "") -> None:
    """Refuse a file that has not one column of this name; DataError says why it needs it."""
    count = table.header.count(name)
    if count == 0:
        raise DataError(f"{table.file} has no column '{name}', {why}", hint=nearest(name, filter(None, table.header)))
    if count > 1:
        raise DataError(f"{table.file} has {count} columns '{name}'", hint="rename one of them")


def _usual(named: Sequence[str], usual: Sequence[str], taken: str) -> str:
    """The column with the surest of the usual names; empty if none has one."""
    known = {re.sub(r"[ _-]", "", name).lower(): name for name in reversed(named) if name != taken}
    return next((known[name] for name in usual if name in known), "")


def _other(named: Sequence[str], taken: str) -> str:
    return next((name for name in named if name != taken), "")


def _untold(table: CsvTable, named: Sequence[str], taken: str, key: str, what: str) -> DataError:
    hint = f"its columns are {some(named, 12)}; say which it is, such as {key}: {_other(named, taken) or 'NAME'}"
    if any(is_image_name(Path(name)) for name in named):
        hint = "write a first line that names the columns, such as image,label"
    return DataError(f"{table.file} has no column of a usual name for the {what}", hint=hint)
