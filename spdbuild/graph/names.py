"""Names of layers as paths through blocks."""

from __future__ import annotations

import re
from collections.abc import Container


def name_parts(name: str) -> list[str]:
    """`stage1.rest.0.norm` -> stage1, rest.0, norm: a repeat is no level of its own."""
    return re.findall(r"[^.]+(?:\.\d+)*", name)


def block_name(name: str, depth: int) -> str:
    """The block that holds the layer `depth` levels down; the layer itself if it is not that deep."""
    return ".".join(name_parts(name)[:depth])


def free_name(name: str, taken: Container[str]) -> str:
    """The name, or `name_2`, `name_3`, ... if it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
