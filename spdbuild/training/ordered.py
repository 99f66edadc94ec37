"""The mappings of a recipe whose order matters."""

from __future__ import annotations

#: Their key paths: they are from patterns, of which the last that matches a name counts.
ORDERED = frozenset(("init", "optimizer.scales"))
