"""Predictions that are written: tables that grow on the disk, and the names of files."""

from __future__ import annotations

import csv
import errno
import tracemalloc
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from spdbuild.errors import DiskFullError, RunError
from spdbuild.training.report import outputs
from spdbuild.training.report.outputs import Outputs
from spdbuild.training.task import Prediction


def read(file: Path) -> list[list[str]]:
    with file.open(newline="") as text:
        return list(csv.reader(text))


def many(count: int, classes: int) -> list[Prediction]:
    values = np.full(classes, 1 / classes, np.float32)
    names = tuple(map(str, range(classes)))
    return [Prediction(Path(f"{i}.png"), (), probabilities=values, classes=names) for i in range(count)]


def test_a_table_of_probabilities_waits_on_the_disk(tmp_path: Path) -> None:
    entries = many(300, 1000)
    with Outputs(tmp_path, ("probabilities",)) as outputs:
        outputs.add(entries[0])
        tracemalloc.start()
        for entry in entries:
            outputs.add(entry)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "probabilities.csv").stat().st_size > 3_000_000
    assert peak < 500_000


def written(folder: Path, seen: list[Prediction]) -> Path:
    """The table of predictions."""
    with Outputs(folder, ("probabilities",)) as outputs:
        for entry in seen:
            outputs.add(entry)
    return folder / "probabilities.csv"


def interrupted(folder: Path, seen: list[Prediction]) -> None:
    with Outputs(folder, ("probabilities",)) as outputs:
        for entry in seen:
            outputs.add(entry)
        raise KeyboardInterrupt


def test_what_was_seen_before_an_interruption_is_in_the_table(tmp_path: Path) -> None:
    for count in (0, 2):
        with pytest.raises(KeyboardInterrupt):
            interrupted(tmp_path / str(count), many(count, 2))
    assert len(read(tmp_path / "2" / "probabilities.csv")) == 3
    assert not (tmp_path / "0").exists()


class Full(StringIO):
    """A file on a disk with room for a number of characters, which is only seen when a buffer of 100 is written."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.waiting = room, 0

    def write(self, text: str) -> int:
        self.waiting += len(text)
        if self.waiting >= 100:
            self.flush()
        return super().write(text)

    def seek(self, offset: int, whence: int = 0) -> int:
        self.flush()
        return super().seek(offset, whence)

    def flush(self) -> None:
        self.room -= self.waiting
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.waiting = 0

    def close(self) -> None:
        self.flush()
        super().close()


@pytest.mark.parametrize("count", [1, 50])
def test_a_table_without_room_on_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(outputs, "TemporaryFile", lambda *_, **__: Full(5))
    with pytest.raises(DiskFullError, match=r"probabilities\.csv cannot be written: No space left"):
        written(tmp_path, many(count, 2))
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "probabilities.csv").mkdir()
    with pytest.raises(RunError, match=r"probabilities\.csv cannot be written: it is a folder"):
        written(tmp_path, many(1, 2))


def test_only_what_is_called_like_a_picture_gets_another_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (entry,) = many(1, 2)
    with Outputs(tmp_path, ("json", "csv", "probabilities")) as outputs:
        for name in ("x/ok.png", "x/ok.jpg"):
            outputs.add(replace(entry, file=Path(name)))
    assert caplog.messages == []
    assert [row[0] for row in read(tmp_path / "probabilities.csv")] == ["file", "x/ok.png", "x/ok.jpg"]
