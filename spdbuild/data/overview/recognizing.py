"""Which data set a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spdbuild.data.dataset import DATASETS, Fields
from spdbuild.data.files.listing import existing_folder
from spdbuild.data.sets.csv import Csv
from spdbuild.data.sets.folder import Folder


def recognized(root: Path) -> tuple[type[Any], Fields]:
    """The class of the data set in `root` and its fields: the first that recognizes it, else a folder of classes.

    A class takes part through a class method `fields_in(root)`, which returns its fields, or None if it is not there.
    """
    existing_folder(root)
    # A CSV file may lie beside the files of any other data set, of which it is a table.
    for _, cls in sorted(DATASETS.items(), key=lambda member: member[1] is Csv):
        fields = cls.fields_in(root) if hasattr(cls, "fields_in") else None
        if fields is not None:
            return cls, fields
    return Folder, {"root": str(root)}
