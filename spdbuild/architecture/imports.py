"""Python files and modules that an architecture names, because they register its ops."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

from spdbuild.architecture.document import Document
from spdbuild.errors import SourceError
from spdbuild.source import Value


def import_files(document: Document, allowed: bool) -> None:
    """Import what `imports:` lists: a path ending in .py, beside the file that names it, or the name of a module.

    Importing runs code, so the person who runs spdbuild has to allow it; SourceError says how.
    """
    if document.base:
        import_files(document.base, allowed)
    listed = document.root.get("imports")
    for value in listed or ():
        if not isinstance(value.data, str):
            continue
        if not allowed:
            raise SourceError(
                f"this file wants to run the Python code of '{value.data}'",
                location=value.location,
                hint="if you trust it, say --allow-imports (from Python: allow_imports=True)",
            )
        _import(value)


def _import(value: Value) -> None:
    try:
        if value.data.endswith(".py"):
            _import_file((Path(value.source.name).parent / value.data).resolve())
        else:
            importlib.import_module(value.data)
    except Exception as error:
        raise SourceError(
            f"'{value.data}' cannot be imported: {type(error).__name__}: {error}", location=value.location
        ) from error


def _import_file(path: Path) -> None:
    name = f"spdbuild_imported_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"there is no file {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
