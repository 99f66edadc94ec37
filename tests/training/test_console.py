"""What a run says where there is no terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from spdbuild.training import console
from spdbuild.training.console import Console


def test_without_a_terminal_a_line_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 40.0, 40.0, 41.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Console(stream=stream).bar("epoch 1/3", total=10) as bar:
        assert not bar.due
        bar.advance(4)
        assert bar.due
        bar.advance(1, "loss 0.5")
        assert not bar.due
    assert stream.getvalue() == "epoch 1/3  5/10  40 s left of the epoch  loss 0.5\n"


def test_a_quiet_run_says_nothing_and_logs_all_the_same(tmp_path: Path) -> None:
    stream, log = io.StringIO(), tmp_path / "log.txt"
    quiet = Console(quiet=True, stream=stream)
    quiet.log = log
    quiet.line("begun")
    with quiet.bar("epoch", 2) as bar:
        assert not bar.due
    assert (stream.getvalue(), log.read_text()) == ("", "begun\n")
