"""The text of an architecture with the edits of a plan: all else stays as it is, comments and blanks included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from spdbuild.architecture.document import Block, Document
from spdbuild.architecture.line import Line
from spdbuild.conversion.plan import CannotRewrite, Edit, Edits, Insert, Plan, Rename, Switch, Treatment, Unstride
from spdbuild.declaring.arguments import signature
from spdbuild.ops import OPS
from spdbuild.text.source import Value
from spdbuild.text.yaml_text import inline

#: A piece of text put in place of source.text[start:end].
Splice = tuple[int, int, str]


def rewrite(document: Document, plan: Plan, settings: Mapping[str, Any], note: str) -> str:
    """The text of `document` after the edits of `plan`.

    settings: values for top-level keys, written in place of what the file says ("model", "expect", "vars.classes").
    note: comment above the model's name that says how the file was made.
    Raises CannotRewrite where the text cannot be edited.
    """
    writer = _Writer(document, plan)
    splices = [*writer.splices(), *_settings(document, settings)]
    model = document.root.data["model"]
    start = _line_start(document.source.text, document.source.index(model.key.line - 1, 0))
    splices.append((start, start, f"# {note}\n"))
    text = _spliced(document.source.text, splices)
    return re.sub(r"\r?\n", "\r\n", text) if "\r\n" in document.source.text else text


def with_settings(document: Document, settings: Mapping[str, Any]) -> str:
    """The text of `document` with nothing but other values, as in `rewrite`."""
    return _spliced(document.source.text, list(_settings(document, settings)))


def _settings(document: Document, settings: Mapping[str, Any]) -> Iterator[Splice]:
    for path, data in settings.items():
        yield _setting(document, path.split("."), data)


class _Writer:
    def __init__(self, document: Document, plan: Plan) -> None:
        self.document, self.plan = document, plan
        self.text = document.source.text

    def splices(self) -> Iterator[Splice]:
        for section, edits in self.plan.sections.items():
            yield from self._list(self.document.sections[section], edits)
        for name, treatments in self.plan.blocks.items():
            block = self.document.blocks[name]
            for treatment in treatments:
                if treatment.name == name:
                    yield from self._list(block.lines, treatment.edits)
            copies = [self._copy(block, t) for t in treatments if t.name != name]
            if copies:
                end = self._line_end(block.lines[-1])
                yield end, end, "".join(copies)

    def _copy(self, block: Block, treatment: Treatment) -> str:
        """The text of the block with a new name and the edits of one treatment, after a blank line."""
        start = _line_start(self.text, self.document.source.index(block.location.line - 1, 0))
        end = self._line_end(block.lines[-1])
        key = self.document.source.index(block.location.line - 1, block.location.column - 1)
        if self.text[key] in "'\"":
            key += 1
        splices = [(key, key + len(block.name), treatment.name), *self._list(block.lines, treatment.edits)]
        return "\n\n" + _spliced(self.text, splices, start, end)

    def _list(self, lines: list[Line], edits: Edits) -> Iterator[Splice]:
        renamed: dict[str, str] = {}
        by_line: dict[Line, list[Edit]] = {}
        for (line, _), edit in edits.items():
            by_line.setdefault(line, []).append(edit)
        for line in lines:
            yield from self._references(line, renamed)
            for edit in by_line.get(line, ()):
                yield from self._line(line, edit)
                if isinstance(edit, Insert) and line.name:
                    renamed[line.name] = edit.name

    def _line(self, line: Line, edit: Edit) -> Iterator[Splice]:
        call = line.call
        start = self._index(line.value, call.start)
        word = (start, start + len(call.function))
        if isinstance(edit, Rename):
            yield *word, edit.function
            if not line.name:
                yield line.value.start, line.value.start, f"{line.label}: "
            if edit.arguments:
                end = self._index(line.value, call.end - 1)
                comma = " " if call.text[: call.end - 1].rstrip().endswith(",") else ", "
                # Inside double quotes, arguments use single quotes.
                quoted = self.text[line.value.start] == '"'
                yield end, end, comma + (edit.arguments.replace('"', "'") if quoted else edit.arguments)
        elif isinstance(edit, Unstride):
            yield self._without_stride(line)
        elif isinstance(edit, Switch):
            yield *word, self.plan.blocks[call.function][edit.treatment].name
        elif isinstance(edit, Insert):
            end = self._line_end(line)
            dash = re.match(r"[ \t]*-[ \t]*", self.text[_line_start(self.text, line.value.start) :])
            if dash is None:
                raise CannotRewrite(f"'{line.label}' does not stand on a line of its own", line.location)
            yield end, end, f"\n{dash.group()}{edit.name}: {edit.call}"

    def _without_stride(self, line: Line) -> Splice:
        call = line.call
        position = signature(OPS[call.function]).arguments.index("stride")
        argument = next((a for a in call.named if a.name == "stride"), None) or call.positional[position]
        if argument in call.positional[:-1]:
            tree = argument.tree
            return self._index(line.value, tree.col_offset), self._index(line.value, tree.end_col_offset or 0), "1"
        start, end = argument.start, argument.end
        before, behind = call.text[:start].rstrip(), re.match(r"\s*,\s*", call.text[end:])
        if before.endswith(","):
            start = len(before) - 1
        elif behind:
            end += behind.end()
        return self._index(line.value, start), self._index(line.value, end), ""

    def _references(self, line: Line, renamed: Mapping[str, str]) -> Iterator[Splice]:
        """Make lines that read a layer by name read the layer inserted after it."""
        for reference in line.reads or ():
            first = reference.text.split(".")[0]
            if first in renamed:
                start = self._index(line.value, reference.column)
                yield start, start + len(first), renamed[first]

    def _index(self, value: Value, offset: int) -> int:
        place = value.at(offset)
        return self.document.source.index(place.line - 1, place.column - 1)

    def _line_end(self, line: Line) -> int:
        """The end of the text line on which `line` ends, its comment included."""
        end = re.compile(r"\r?\n|$").search(self.text, self._index(line.value, len(line.value.data.rstrip())))
        assert end is not None
        return end.start()


def _setting(document: Document, path: list[str], data: Any) -> Splice:
    value: Value | None = document.root
    for key in path:
        value = value.get(key) if value is not None else None
    if value is None:
        raise CannotRewrite(f"the file itself does not set {'.'.join(path)}")
    raw = document.source.text[value.start : value.end]
    return value.start, value.start + len(raw.rstrip()), inline(data)


def _spliced(text: str, splices: list[Splice], start: int = 0, end: int | None = None) -> str:
    """`text[start:end]` with the splices put in; none may overlap another."""
    parts, position = [], start
    for first, last, piece in sorted(splices, key=lambda splice: splice[:2]):
        if first < position:
            raise CannotRewrite("two changes fall on the same text")
        parts += [text[position:first], piece]
        position = last
    return "".join((*parts, text[position:end]))


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1
