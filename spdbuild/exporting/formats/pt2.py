"""Programs of torch.export."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.export import ExportedProgram

from spdbuild.exporting.formats.format import FORMATS, Axes, Format, Runner, runner_of
from spdbuild.text.json_text import json_text

#: Where in a file the card is, as JSON: `torch.export.load(file, extra_files=...)` reads it.
CARD = "spdbuild.json"


@FORMATS.register
@dataclass(frozen=True)
class Pt2(Format):
    """A program for PyTorch, in Python and in C++; nothing in it is pickled code, and spdbuild is not needed.

    `torch.export.load("file.pt2").module()(images)` runs it; AOTInductor compiles it.
    """

    suffix: ClassVar[str] = ".pt2"

    def write(self, program: ExportedProgram, path: Path, axes: Axes, card: Mapping[str, Any]) -> int | None:
        # torch does not say why it cannot write a file.
        file = BytesIO()
        with _quiet():
            torch.export.save(program, file, extra_files={CARD: json_text(card)})
        path.write_bytes(file.getbuffer())
        return None

    def load(self, path: Path) -> Runner:
        return runner_of(torch.export.load(path).module())


@contextmanager
def _quiet() -> Iterator[None]:
    """Show no warnings of torch's writer: it warns of what a loop need not have, as if it could not write it."""
    log = logging.getLogger("torch._export.serde.serialize")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
