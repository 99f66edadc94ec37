"""Which view of a data set is that of its task."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PIL.Image import Image

from spdbuild.cli.data_views import classification, detection
from spdbuild.errors import InputError

_VIEWS = {"classification": classification, "detection": detection}


def views_of(data_set: Any) -> ModuleType:
    """The file with the functions `check` and `stats` for its task; InputError for a task of a plug-in."""
    if data_set.task not in _VIEWS:
        raise InputError(f"there is no view of data sets for {data_set.task}")
    return _VIEWS[data_set.task]


def plot_of(data_set: Any) -> Image:
    """The picture of the counts; InputError for a task without one."""
    if data_set.task != "detection":
        raise InputError(f"there is no plot of data sets for {data_set.task}")
    return detection.plot(data_set)
