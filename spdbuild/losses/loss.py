"""The base of all losses, which `LOSSES` finds by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spdbuild.declaring.registry import Registry


@dataclass(frozen=True)
class Loss:
    """Base of all losses of recipes: frozen dataclasses whose fields are the keys of the section `loss`."""

    name: ClassVar[str] = ""
    #: Name of the task whose outputs it takes.
    task: ClassVar[str]


LOSSES: Registry[Loss] = Registry("loss", "spdbuild.losses", "spdbuild.losses")
