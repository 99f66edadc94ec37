"""Python files and modules that an architecture names, because they register its ops."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path

from spdbuild.architecture.document import Document
from spdbuild.errors import SourceError, first_line
from spdbuild.text.source import Value
from spdbuild.wording.phrases import cut


def import_files(document: Document, allowed: bool) -> None:
    """Import what `imports:` lists: a path ending in .py, beside the file that names it, or the name of a module.

    Importing runs code, so the person who runs spdbuild has to allow it; SourceError says how. Code that has run in
    this process does not run again, and needs no second permission.
    """
    if document.base:
        import_files(document.base, allowed)
    for value in document.root.get("imports") or ():
        if not isinstance(value.data, str) or _module_name(value) in sys.modules:
            continue
        if not allowed:
            raise SourceError(
                f"this file wants to run the Python code of '{cut(value.data)}'",
                location=value.location,
                hint="if you trust it, say --allow-imports (from Python: allow_imports=True)",
            )
        try:
            _import(value)
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise SourceError(f"'{cut(value.data)}' cannot be imported: {reason}", location=value.location) from error


def imports_of(document: Document) -> tuple[Path | str, ...]:
    """What a document and those that it extends import: absolute paths of files, and names of modules."""
    inherited = imports_of(document.base) if document.base else ()
    own = (imported_file(value) or str(value.data) for value in document.root.get("imports") or ())
    return tuple(dict.fromkeys((*inherited, *own)))


def imported_file(value: Value) -> Path | None:
    """The file that an entry of `imports:` names, whether it is there or not; None if it names a module."""
    return (Path(value.source.name).parent / value.data).resolve() if value.data.endswith(".py") else None


def _module_name(value: Value) -> str:
    """The key of an entry in sys.modules: for a file it depends on the text, not on where a copy lies."""
    path = imported_file(value)
    if path is None:
        return str(value.data)
    if not path.is_file():
        return ""
    # The part before the @ stays the same when a file is edited, so its classes replace the old ones.
    return f"spdbuild_imported_{path.stem}@{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _import(value: Value) -> None:
    path, name = imported_file(value), _module_name(value)
    if path is None:
        importlib.import_module(name)
        return
    spec = importlib.util.spec_from_file_location(name, path) if name else None
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"there is no file {path.name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        # A file that failed half-way is run again next time.
        del sys.modules[name]
        raise
