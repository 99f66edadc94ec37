"""Templates for new architectures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spdbuild.architecture.document import Document
from spdbuild.architecture.imports import imported_file
from spdbuild.errors import InputError, SourceError
from spdbuild.graph.text import import_name
from spdbuild.loading import name_to_extend, read_document, source_of
from spdbuild.text.source import Source, Value, parse_yaml
from spdbuild.text.yaml_text import inline

TEMPLATE = """\
# A network, one call a line. `spdbuild check FILE` finds mistakes, `spdbuild ops` lists what can be called.
model: NAME
inputs: {image: [3, 64, 64]}      # channels, height and width of one image
vars: {classes: 10, width: 32}    # numbers to set from outside: --var classes=100

blocks:                           # lines under a name, called as ops are
  conv_norm(out, stride=1):
    - conv: conv2d(out, 3, stride)           # what has weights needs a name, which its weights have too
    - norm: batch_norm()

  residual(out, stride=1):
    - first: conv_norm(out, stride)
    - relu()
    - second: conv_norm(out)
    - skip: conv2d(out, 1, stride) <- input  # a line reads the one above, or what stands behind <-
    - add() <- second, skip
    - relu()

layers:
  - stem: conv_norm(width)
  - relu()
  - stage1: residual(width) * 2              # twice, one behind the other, each with its own weights
  - stage2: residual(2 * width, stride=2)    # half as high and wide: what `spdbuild convert` replaces
  - stage3: residual(4 * width, stride=2)
  - global_avg_pool()
  - head: linear(classes)
"""


def new_text(name: str, base: str | None = None, *, folder: Path | None = None, allow_imports: bool = False) -> str:
    """The text of an architecture called `name`: a small commented one, or a copy of another to change.

    base: built-in name or path of the one to copy. Counts under `expect:` are left out, as they hold for `base` alone.
    folder: where the text will be; it names files relative to this, or by absolute paths.
    allow_imports: whether the Python files that `base` names may run.
    Raises InputError for a name that no architecture can have.
    """
    small = _named(TEMPLATE, name)
    try:
        read_document(Source("the template", small))
    except SourceError:
        raise InputError(f"an architecture cannot be called '{name}'", hint="use letters, digits and _") from None
    return small if base is None else _named(_copied(base, folder, allow_imports), name)


def _named(text: str, name: str) -> str:
    return re.sub(r"^model:[ \t]*\S+", lambda _: f"model: {name}", text, count=1, flags=re.MULTILINE)


def _copied(base: str, folder: Path | None, allow_imports: bool) -> str:
    document = read_document(source_of(base), allow_imports=allow_imports)
    source = Source(base, _with_paths_from(folder, document))
    text, expected = source.text, parse_yaml(source).get("expect")
    if expected is not None and expected.key is not None:
        text = _without(text, source.index(expected.key.line - 1, 0), expected.end)
    return without_schema(text)


def without_schema(text: str) -> str:
    """`text` without the comment that tells editors its schema: what lies beside a file does not beside its copy."""
    return re.sub(r"\A# yaml-language-server:.*\n", "", text)


def _with_paths_from(folder: Path | None, document: Document) -> str:
    """The text of a document as a file in `folder` that extends and imports the same files."""
    text = document.source.text
    # From the end, so that earlier positions stay valid.
    for value, name in sorted(_paths_from(folder, document), key=lambda entry: -entry[0].start):
        text = text[: value.start] + inline(name) + text[value.end :]
    return text


def _paths_from(folder: Path | None, document: Document) -> Iterator[tuple[Value, str]]:
    extended = document.root.get("extends")
    if document.base is not None and extended is not None:
        yield extended, name_to_extend(Path(document.base.source.name), folder)
    for value in document.root.get("imports") or ():
        path = imported_file(value)
        if path is not None:
            yield value, import_name(path, folder)


def _without(text: str, start: int, end: int) -> str:
    """`text` without the whole lines from `start` to `end`; blank lines on both sides become one."""
    before, after = text[:start], text[end:].lstrip("\n")
    between = "\n\n" if before.endswith("\n\n") and after else "\n"
    return before.rstrip() + between + after
