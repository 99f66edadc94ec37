"""The metrics of a run as events for TensorBoard, if it is installed."""

from __future__ import annotations

import io
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from spdbuild.system.files import append

#: What the names of all files of events begin with; the time follows.
_NAME = "events.out.tfevents."


class Events:
    """Writes the numbers of each row under their names; does nothing without TensorBoard.

    A row for which the disk has no room is written with the next one.

    first_epoch: number of epochs already in the folder; what an interrupted run wrote beyond them is hidden.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        # TensorBoard reads the files of a folder in the order of their names, and clocks may be set back.
        begun = max([time.time(), *(last + 1 for last in _times(folder))])
        self._file = folder / f"{_NAME}{begun:.6f}.{platform.node()}.{os.getpid()}"
        self._unwritten = b""
        with suppress(ImportError):
            self._unwritten = _beginning(first_epoch + 1)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add the row of one epoch."""
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
        except ImportError:
            return
        values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items()]
        event = Event(wall_time=time.time(), step=row["epoch"], summary=Summary(value=values))
        self._unwritten += _records(event)
        with suppress(OSError):
            append(self._file, self._unwritten)
            self._unwritten = b""


def _times(folder: Path) -> Iterator[float]:
    """When the files of events in a folder were begun, in seconds of the clock, as their names say."""
    for path in folder.glob(f"{_NAME}*"):
        found = re.match(r"\d+(\.\d+)?", path.name.removeprefix(_NAME))
        if found:
            yield float(found[0])


def _beginning(epoch: int) -> bytes:
    """The records at the start of a file whose first row is that of `epoch`."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    now = time.time()
    return _records(
        Event(wall_time=now, file_version="brain.Event:2"),
        Event(wall_time=now, step=epoch, session_log=SessionLog(status=SessionLog.START)),
    )


def _records(*events: Any) -> bytes:
    """Events as the records of a file."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for event in events:
        writer.write(event.SerializeToString())
    return buffer.getvalue()
