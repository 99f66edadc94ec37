"""A file of rows -> the same network as text in our language: rows have names, and say by name what they read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import log2
from pathlib import Path

from spdbuild.declaring.arguments import literal
from spdbuild.errors import SourceError
from spdbuild.importing.row_file import IMAGE, Row, RowFile, read_row_file
from spdbuild.importing.row_modules import BLOCKS, RENAMED, blocks_of
from spdbuild.loading import Architecture, choose, is_text, read_document
from spdbuild.text.source import Source, read_source

#: Side of the image that the file is written for, in pixels; row files do not say.
SIZE = 640

_MULTIPLES = ("depth_multiple", "width_multiple")


def import_rows(rows: Source | Path | str, *, size: int = SIZE) -> Architecture:
    """The network of a row file; the first variant is chosen where it has `scales`.

    rows: a path, or text (with a line break).
    size: side of the square image in pixels. Raises SourceError with the places of all mistakes.
    """
    if isinstance(rows, str) and is_text(rows):
        rows = Source("<text>", rows)
    source = rows if isinstance(rows, Source) else read_source(rows)
    file = read_row_file(source)
    title = re.sub(r"\W+", "_", Path(source.name).stem, flags=re.ASCII).strip("_").lower() or "model"
    document = read_document(Source(f"{title}.yaml", _Writer(file, title, size).text()))
    return choose(document, next(iter(document.variants), None))


class _Writer:
    def __init__(self, file: RowFile, title: str, size: int) -> None:
        self.file, self.title, self.size = file, title, size
        self.strides = _strides(file.rows)
        self.names = _names(file.rows, self.strides)
        self.blocks = blocks_of(map(self._call, file.rows))

    def text(self) -> str:
        sections = map(self._section, ("backbone", "head"))
        parts = ["\n".join(self._head()), self._blocks(), *sections, "\n".join(self._renames())]
        return "\n\n".join(parts) + "\n"

    def _head(self) -> Iterator[str]:
        settings = self.file.settings
        yield f"model: {self.title}"
        yield f"inputs: {{image: [{settings.get('ch', 3)}, {self.size}, {self.size}]}}"
        yield "vars:"
        yield f"  classes: {settings['nc']}"
        yield "  anchors:   # (width, height) pairs in pixels of the input image"
        for row, numbers in zip(self.file.rows[-1].reads, settings["anchors"], strict=True):
            pairs = [list(pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
            yield f"    p{_level(self.strides[row])}: {literal(pairs)}"
        yield from self._scaling()

    @property
    def _is_scaled(self) -> bool:
        """Whether the file has variants, or a multiple that is not 1."""
        settings = self.file.settings
        return bool(settings.get("scales")) or any(settings.get(name, 1) != 1 for name in _MULTIPLES)

    def _scaling(self) -> Iterator[str]:
        """The multiples as vars or variants, and what they scale; nothing where all are 1."""
        if not self._is_scaled:
            return
        scales: Mapping[str, list[float]] = self.file.settings.get("scales", {})
        width = "out"
        if scales:
            yield "variants:"
            bounded = all(len(numbers) > 2 for numbers in scales.values())
            width = "min(out, max_channels)" if bounded else width
            names = (*_MULTIPLES, "max_channels")[: 3 if bounded else 2]
            for name, numbers in scales.items():
                yield f"  {name}: {{{', '.join(f'{n}: {v}' for n, v in zip(names, numbers, strict=False))}}}"
        else:
            for name in _MULTIPLES:
                yield f"  {name}: {self.file.settings.get(name, 1)}"
        yield "scale:"
        yield f"  out: round_up({width} * width_multiple, 8)"
        yield "  depth: max(1, round(depth * depth_multiple))"

    def _blocks(self) -> str:
        texts = ("".join(f"  {line}\n" for line in BLOCKS[name].splitlines()) for name in self.blocks)
        return ("blocks:\n" + "\n".join(texts)).rstrip("\n")

    def _section(self, section: str) -> str:
        return "\n".join([f"{section}:", *(f"  - {self._line(i)}" for i, row in self._rows(section))])

    def _rows(self, section: str) -> Iterator[tuple[int, Row]]:
        return ((i, row) for i, row in enumerate(self.file.rows) if row.section == section)

    def _line(self, position: int) -> str:
        row = self.file.rows[position]
        name = f"{self.names[position]}: " if position in self.names else ""
        arrow = "" if row.reads == (position - 1,) else f" <- {', '.join(self._reference(row, i) for i in row.reads)}"
        return f"{name}{self._call(row)}{arrow}"

    def _call(self, row: Row) -> str:
        if row.module is None:
            return self._detect(row)
        call = row.module.call(row.arguments, row.number)
        if row.module.repeats == "chain" and row.number > 1:
            call += f" * max(1, round({row.number} * depth_multiple))" if self._is_scaled else f" * {row.number}"
        return call

    def _detect(self, row: Row) -> str:
        strides = [int(self.strides[i]) for i in row.reads]
        usual = strides == [8 * 2**level for level in range(len(strides))]
        return "detect(classes, anchors)" if usual else f"detect(classes, anchors, strides={literal(strides)})"

    def _renames(self) -> Iterator[str]:
        """The rename table for weights trained from the row file, whose names count its rows."""
        yield "rename:                    # our weight names -> theirs, which count rows"
        yield "  rows:"
        for position, row in enumerate(self.file.rows):
            ours, theirs = f"{row.section}.{self.names.get(position)}", f"model.{position}"
            if row.module is None:
                yield f"    {ours}.levels: {theirs}.m"
            elif row.name in ("SPPF", "SPP"):
                yield f"    {ours}.fuse: {theirs}.cv2"
            if row.module is None or row.module.weights:
                yield f"    {ours}: {theirs}"
        rules = {ours: theirs for block in self.blocks for ours, theirs in RENAMED.get(block, {}).items()}
        yield from (f"    {ours}: {theirs}" for ours, theirs in rules.items())

    def _reference(self, reader: Row, position: int) -> str:
        if position == IMAGE:
            return "image"
        section = self.file.rows[position].section
        return self.names[position] if section == reader.section else f"{section}.{self.names[position]}"


def _strides(rows: tuple[Row, ...]) -> dict[int, Fraction]:
    """The stride of each row's output: pixels of the image per pixel of it."""
    strides = {IMAGE: Fraction(1)}
    for position, row in enumerate(rows):
        met = {strides[source] for source in row.reads}
        if row.module is not None and len(met) > 1:
            listed = " and ".join(str(stride) for stride in sorted(met))
            raise SourceError(f"row {position} joins rows of strides {listed}", location=row.location)
        shrinks = row.module.shrinks(row.arguments) if row.module else Fraction(1)
        strides[position] = strides[row.reads[0]] * shrinks
    return strides


def _names(rows: tuple[Row, ...], strides: dict[int, Fraction]) -> dict[int, str]:
    """Names of the rows that have weights, or that a row other than the next reads."""
    read = {source for position, row in enumerate(rows) for source in row.reads if row.reads != (position - 1,)}
    names: dict[int, str] = {}
    taken: set[tuple[str, str]] = set()
    for position, row in enumerate(rows):
        if row.module is not None and not row.module.weights and position not in read:
            continue
        name = _label(rows, position, strides[position])
        unique = name if (row.section, name) not in taken else f"{name}_{position}"
        taken.add((row.section, unique))
        names[position] = unique
    return names


def _label(rows: tuple[Row, ...], position: int, stride: Fraction) -> str:
    row = rows[position]
    if row.module is None:
        return "detect"
    if position == 0:
        return "stem"
    level = _level(stride)
    if position in rows[-1].reads:
        return f"out{level}"
    if row.name == "Conv" and row.arguments["stride"] > 1:
        return f"down{level}"
    if row.name == "C3" and row.section == "head":
        return f"mix{level}"
    return row.module.label.format(level=level)


def _level(stride: Fraction) -> str:
    """log2 of a stride; a stride that is not at a level is spelled out."""
    level = log2(stride)
    return str(int(level)) if level.is_integer() and level >= 0 else f"_stride{stride.numerator}_{stride.denominator}"
