"""Which view of a data set is that of its task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from PIL.Image import Image

from spdbuild.cli.data_views import classification, detection
from spdbuild.cli.data_views.view import View
from spdbuild.errors import InputError

_VIEWS: dict[str, dict[str, Callable[[Any], View]]] = {
    "classification": {"check": classification.check, "stats": classification.stats},
    "detection": {"check": detection.check, "stats": detection.stats},
}


def view_of(data_set: Any, command: Literal["check", "stats"]) -> View:
    """What `spdbuild data COMMAND` prints; InputError for a task of a plug-in."""
    if data_set.task not in _VIEWS:
        raise InputError(f"there is no view of data sets for {data_set.task}")
    return _VIEWS[data_set.task][command](data_set)


def plot_of(data_set: Any) -> Image:
    """The picture of the counts; InputError for a task without one."""
    if data_set.task != "detection":
        raise InputError(f"there is no plot of data sets for {data_set.task}")
    return detection.plot(data_set)
