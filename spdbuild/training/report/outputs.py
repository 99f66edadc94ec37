"""Predictions written into a folder, in the formats that a person asks for."""

from __future__ import annotations

import csv
import logging
import math
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar, Protocol

from PIL import Image

from spdbuild.errors import InputError, RunError, nearest
from spdbuild.metrics import probabilities
from spdbuild.pictures.drawing import class_colour, draw_boxes
from spdbuild.system.files import make_folder, require_writable, unwritten
from spdbuild.text.json_text import json_text
from spdbuild.training.folder.writing import save_text, save_whole
from spdbuild.training.report.report import write_picture
from spdbuild.training.task import Prediction
from spdbuild.wording.tables import Table

_LOG = logging.getLogger("spdbuild.training")


class Writer(Protocol):
    """Writes predictions, one after another, in one format.

    named: whether its files are called like their pictures.
    """

    named: ClassVar[bool]

    def add(self, prediction: Prediction, name: str) -> None:
        """Add a prediction under a name, which is unique if the writer is `named`."""

    def close(self) -> None:
        """Write the file that all predictions share, if there is one."""


class Outputs:
    """The same predictions in several formats in one folder; InputError for an unknown or impossible format.

    forms: keys of WRITERS; empty: pictures if there are boxes, else a table of the classes found.
    roots: folders whose subfolders are mirrored here; results for a file in none of them are at the top.
    """

    def __init__(self, folder: Path, forms: Collection[str] = (), roots: Iterable[Path] = ()) -> None:
        unknown = [form for form in forms if form not in WRITERS]
        if unknown:
            raise InputError(f"predictions are not written as '{unknown[0]}'", hint=nearest(unknown[0], WRITERS))
        require_writable(folder)
        self._folder, self._roots = folder, tuple(roots)
        self._writers = [WRITERS[form](folder) for form in forms]
        self._seen = False
        self._taken: dict[str, Path] = {}
        self._renamed: set[Path] = set()

    def add(self, prediction: Prediction) -> None:
        """Add a prediction; one for a file that cannot be read is skipped."""
        if prediction.problem:
            return
        if not self._writers:
            self._writers = [WRITERS["csv" if prediction.pixels is None else "pictures"](self._folder)]
        self._seen = True
        name = self._name(prediction) if any(writer.named for writer in self._writers) else ""
        for writer in self._writers:
            writer.add(prediction, name)

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the shared files; after an error or Ctrl-C they hold what has been seen so far."""
        if kind is None or self._seen:
            for writer in self._writers:
                writer.close()

    def _name(self, prediction: Prediction) -> str:
        """The file's path below its root without the suffix, numbered, with a warning, if it is taken already."""
        below = (prediction.file.relative_to(root) for root in self._roots if prediction.file.is_relative_to(root))
        stem = next(below, Path(prediction.file.name)).with_suffix("").as_posix()
        stem += "" if prediction.frame is None else f"-{prediction.frame:06}"
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}-{number}", number + 1
        self._taken[name] = file = prediction.file
        if name != stem and file not in self._renamed:
            self._renamed.add(file)
            _LOG.warning(
                "warning: %s is called %s in %s: %s has the same name", file, name, self._folder, self._taken[stem]
            )
        return name


#: Smaller pictures are enlarged, so that the labels of boxes do not hide what is in them; pixels.
_READABLE = 512


class _Pictures:
    """<name>.png: the picture with boxes, enlarged if it is small."""

    named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, prediction: Prediction, name: str) -> None:
        image, boxes = _image(prediction), _boxes(prediction)
        factor = max(1, _READABLE // max(image.size))
        image = image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)
        boxes = [[factor * edge for edge in box] for box in boxes]
        colours = [class_colour(thing["index"]) for thing in prediction.found]
        texts = [f"{thing['class']} {thing['score']:.2f}" for thing in prediction.found]
        write_picture(self._folder / f"{name}.png", draw_boxes(image, boxes, texts, colours))

    def close(self) -> None: ...


class _Crops:
    """crops/<class>/<name>-<number>.png: what is in each box."""

    named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "crops"

    def add(self, prediction: Prediction, name: str) -> None:
        image = _image(prediction)
        for number, (thing, box) in enumerate(zip(prediction.found, _boxes(prediction), strict=True), start=1):
            left, top = int(box[0]), int(box[1])
            right = max(left + 1, min(math.ceil(box[2]), image.width))
            bottom = max(top + 1, min(math.ceil(box[3]), image.height))
            cut = image.crop((left, top, right, bottom))
            write_picture(self._folder / _safe(thing["class"]) / f"{name}-{number}.png", cut)

    def close(self) -> None: ...


class _Txt:
    """labels/<name>.txt: a line `class x y width height score` per box, centre and size relative to the picture."""

    named: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "labels"

    def add(self, prediction: Prediction, name: str) -> None:
        width, height = _image(prediction).size
        lines = []
        for thing, (left, top, right, bottom) in zip(prediction.found, _boxes(prediction), strict=True):
            centre = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            numbers = (*centre, (right - left) / width, (bottom - top) / height, thing["score"])
            lines.append(" ".join((str(thing["index"]), *(f"{number:.6f}" for number in numbers))) + "\n")
        save_text(self._folder / f"{name}.txt", "".join(lines))

    def close(self) -> None: ...


class _Json:
    """predictions.json: what `spdbuild predict --json` prints for readable files."""

    named: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._file, self._entries = folder / "predictions.json", list[dict[str, Any]]()

    def add(self, prediction: Prediction, name: str) -> None:
        self._entries.append(prediction.to_dict())

    def close(self) -> None:
        save_text(self._file, json_text(self._entries, indent=1) + "\n")


class _Csv:
    """predictions.csv: a row for each thing found."""

    named: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._file, self._rows = folder / "predictions.csv", list[dict[str, Any]]()

    def add(self, prediction: Prediction, name: str) -> None:
        for thing in prediction.found:
            row = {"file": str(prediction.file), "frame": prediction.frame, "class": thing["class"]}
            edges = dict(zip(("left", "top", "right", "bottom"), thing.get("box", ()), strict=False))
            self._rows.append({**row, "score": round(thing["score"], 5), **{k: round(v, 3) for k, v in edges.items()}})

    def close(self) -> None:
        save_text(self._file, Table.of(self._rows, ("file", "frame", "class", "score")).csv())


class _Probabilities:
    """probabilities.csv: a row for each picture, with a column for each class.

    Until it is complete, its rows are in a file without a name, not in memory.
    """

    named: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        self._file = folder / probabilities.FILE
        self._rows: IO[str] | None = None

    def add(self, prediction: Prediction, name: str) -> None:
        if prediction.probabilities is None:
            message = "a detector gives no probabilities of classes for a picture"
            raise InputError(message, hint="use --save json or --save csv")
        try:
            if self._rows is None:
                self._rows = self._begun(prediction.classes)
            _write_row(self._rows, [str(prediction.file), *probabilities.cells(prediction.probabilities)])
        except OSError as error:
            # Of the last row there may be a part.
            self._forget()
            raise unwritten(self._file, error, RunError) from None

    def close(self) -> None:
        if self._rows is None:
            return
        try:
            save_whole(self._file, partial(_copy, self._rows))
        finally:
            self._forget()

    def _forget(self) -> None:
        # A file that is closed tries again to write what a full disk did not take.
        with suppress(OSError):
            if self._rows is not None:
                self._rows.close()
        self._rows = None

    def _begun(self, classes: Sequence[str]) -> IO[str]:
        make_folder(self._file.parent, failure=RunError)
        # `close` closes it, which may be many pictures later.
        rows = TemporaryFile(  # noqa: SIM115
            "w+", dir=self._file.parent, encoding="utf-8", errors="backslashreplace", newline=""
        )
        _write_row(rows, probabilities.header(classes))
        return rows


def _write_row(rows: IO[str], cells: Sequence[str]) -> None:
    csv.writer(rows, lineterminator="\n").writerow(cells)


def _copy(rows: IO[str], path: Path) -> None:
    rows.seek(0)
    with path.open("w", encoding="utf-8", newline="") as file:
        shutil.copyfileobj(rows, file)


WRITERS: dict[str, Callable[[Path], Writer]] = {
    "pictures": _Pictures,
    "crops": _Crops,
    "txt": _Txt,
    "json": _Json,
    "csv": _Csv,
    "probabilities": _Probabilities,
}


def _boxes(prediction: Prediction) -> list[list[float]]:
    return [thing["box"] for thing in prediction.found]


def _image(prediction: Prediction) -> Image.Image:
    """The picture; raises InputError if there is none, as for a classifier."""
    if prediction.pixels is None:
        raise InputError("a classifier finds no boxes to draw or cut out", hint="use --save json or --save csv")
    return Image.fromarray(prediction.pixels)


def _safe(name: str) -> str:
    """The name of a class as a folder name."""
    return "".join(sign if sign.isalnum() or sign in " -_" else "_" for sign in name)
