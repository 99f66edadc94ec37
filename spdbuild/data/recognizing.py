"""Which data set a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spdbuild.data.dataset import DATASETS
from spdbuild.data.folder import Folder
from spdbuild.data.listing import existing_folder


def recognized(root: Path) -> type[Any]:
    """The class of the data set in `root`: the first that recognizes it, else a folder of classes."""
    existing_folder(root)
    for _, cls in DATASETS.items():
        if hasattr(cls, "recognizes") and cls.recognizes(root):
            return cls
    return Folder
