"""What a key of a recipe may change in an existing run, declared with the key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Flag, auto
from typing import Any


class Role(Flag):
    """When a key may change; one without a role is settled when a run begins.

    RESUMED: it may change when a run is resumed: how long, where and with which files the run goes on, not what it is.
    USED: it may change when a trained model is evaluated and used; the others are for training alone.
    """

    RESUMED = auto()
    USED = auto()


def role(roles: Role) -> Mapping[str, Role]:
    """The metadata of a field with these roles, which apply to all keys below it, too."""
    return {"role": roles}


def role_of(field: dataclasses.Field[Any]) -> Role:
    """The roles that a field was declared with."""
    roles: Role = field.metadata.get("role", Role(0))
    return roles
