"""The options of the pass `strided_to_spd` as keyword arguments, for editors and type checkers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from spdbuild.phases import SpdKernel


class ModuleOptions(TypedDict, total=False):
    """Those that make sense for a torch module, whose layers cannot be given other inputs."""

    placement: Literal["before", "after"]
    kernel: SpdKernel
    pool: Literal["conv", "keep"]
    keep: Sequence[str]
    only: Sequence[str]
    strict: bool


class SpdOptions(ModuleOptions, total=False):
    """All of them, for an architecture."""

    after: Literal["conv", "act"]
    kernels: Sequence[str]
    before: Sequence[str]
