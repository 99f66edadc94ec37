"""Copies of an architecture's files in a run's folder: self-contained, and unaffected by later changes."""

from __future__ import annotations

import json
from pathlib import Path

from spdbuild.architecture.document import Document
from spdbuild.architecture.imports import imported_file
from spdbuild.templates import without_schema
from spdbuild.text.source import Value
from spdbuild.training.folder.run_folder import RunFolder

_IN_RUN = RunFolder(Path())


def kept_files(document: Document) -> dict[str, str]:
    """Texts by path below the folder of a run: the architecture, what it extends, and the Python files of both."""
    kept = _Kept()
    text = kept.text_of(document, below=_IN_RUN.sources.name)
    return {_IN_RUN.architecture.name: text, **{f"{_IN_RUN.sources}/{name}": one for name, one in kept.files.items()}}


class _Kept:
    """files: texts by name in the folder of sources."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def text_of(self, document: Document, below: str = "") -> str:
        """The text of a document, naming the kept files instead of its own. below: their folder, relative to it."""
        names: list[tuple[Value, str]] = []
        extended = document.root.get("extends")
        if document.base is not None and extended is not None:
            names.append((extended, self._keep(Path(document.base.source.name).name, self.text_of(document.base))))
        for value in document.root.get("imports") or ():
            path = imported_file(value)
            if path is not None:
                names.append((value, self._keep(path.name, path.read_text(encoding="utf-8"))))
        text = document.source.text
        # From the end, so that earlier positions stay valid.
        for value, name in sorted(names, key=lambda entry: -entry[0].start):
            text = text[: value.start] + json.dumps(f"{below}/{name}" if below else name) + text[value.end :]
        return without_schema(text)

    def _keep(self, name: str, text: str) -> str:
        """Keep a text and return its name, with a number if a file of another folder has the same name."""
        path, number = Path(name), 1
        while self.files.get(name, text) != text:
            number += 1
            name = f"{path.stem}-{number}{path.suffix}"
        self.files[name] = text
        return name
