"""What a key of a recipe may do to a run that is there already, said where the key is declared."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Flag, auto
from typing import Any


class Role(Flag):
    """What may be done with a key; one without a role is settled when a run begins.

    RESUMED: a resumed run may be given it anew: how long, where and with which files it goes on, not what it is.
    USED: a trained model is evaluated and used by it; the others are for training alone.
    """

    RESUMED = auto()
    USED = auto()


def role(roles: Role) -> Mapping[str, Role]:
    """The metadata of a field with these roles, which all keys below it have, too."""
    return {"role": roles}


def role_of(field: dataclasses.Field[Any]) -> Role:
    """The roles that a field was declared with."""
    roles: Role = field.metadata.get("role", Role(0))
    return roles
