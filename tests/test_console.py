"""What a run says, in a terminal and where there is none."""

from __future__ import annotations

import io
import re
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from spdbuild import console
from spdbuild.console import Console


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


def test_in_a_terminal_a_bar_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "RichConsole", partial(RichConsole, force_terminal=True, width=120))
    stream = io.StringIO()
    with Console(stream=stream).bar("epoch 1/3", total=10, done=2) as bar:
        assert bar.due
        bar.advance(3)
        bar.advance(1, "loss 0.5000  top1 0.7500  70 images/s  run: 0:01:00 left")
        assert not bar.due
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    (last,) = re.findall(r"epoch 1/3 \S+ +6/10 .*", drawn)
    assert last.rstrip().endswith("left of the epoch  loss 0.5000  top1 0.7500  70 images/s  run: 0:01:00 left")


def test_the_log_takes_names_that_are_no_text(tmp_path: Path) -> None:
    quiet = Console(quiet=True)
    quiet.log = tmp_path / "log.txt"
    quiet.line("-> runs/b\udcff")
    quiet.line("bär")
    assert quiet.log.read_text(encoding="utf-8") == "-> runs/b\\udcff\nbär\n"


def test_where_stderr_is_closed_nothing_is_said_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console.sys, "stderr", None)
    Console().line("begun")
    assert capsys.readouterr().out == ""


def test_a_line_does_not_command_the_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    said = Console(stream=stream)
    said.log = tmp_path / "log.txt"
    said.line("class \x1b]0;title\x07\nand 3 more")
    assert stream.getvalue() == said.log.read_text() == "class \\x1b]0;title\\x07\nand 3 more\n"


@pytest.mark.parametrize("text", ["labels/1.txt:100: no box", "runs/a:b: done", "class [red] :dog:"])
def test_a_line_is_said_as_it_is(text: str) -> None:
    stream = io.StringIO()
    Console(stream=stream).line(text)
    assert stream.getvalue() == text + "\n"


def test_a_bar_says_its_texts_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "RichConsole", partial(RichConsole, force_terminal=True, width=120))
    stream = io.StringIO()
    with Console(stream=stream).bar("[red]:100:", total=2) as bar:
        bar.advance(1, "[b]ap :dog:")
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "[red]:100: " in drawn
    assert "[b]ap :dog:" in drawn
