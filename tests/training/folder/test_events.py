"""What TensorBoard reads of a run."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from spdbuild.training.folder.events import Events


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_every_epoch_and_of_a_resumed_one_the_last_numbers(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = Events(tmp_path, first_epoch=0)
    events.add({"epoch": 1, "test/top1": 0.5})
    events.add({"epoch": 2, "test/top1": 0.75})
    Events(tmp_path, first_epoch=1).add({"epoch": 2, "test/top1": 0.625})
    read = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in read.Scalars("test/top1")] == [(1, 0.5), (2, 0.625)]


def test_without_tensorboard_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    Events(tmp_path, first_epoch=0).add({"epoch": 1, "test/top1": 0.5})
    assert not list(tmp_path.iterdir())


def test_a_file_comes_after_the_older_ones_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    names = ["events.out.tfevents.1795748767.other.1", "events.out.tfevents.notes"]
    for name in names:
        (tmp_path / name).touch()
    for now in (1795748767.5, 1795658767.0, 1795658768.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        Events(tmp_path, first_epoch=0).add({"epoch": 1})
        (new,) = {path.name for path in tmp_path.iterdir()} - set(names)
        assert new == max([*names, new], key=lambda name: name.replace("notes", ""))
        names.append(new)
