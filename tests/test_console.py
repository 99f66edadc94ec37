"""What a run says, in a terminal and where there is none."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from spdbuild import console
from spdbuild.console import Console


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _drawn(stream: io.StringIO) -> list[str]:
    """The lines that were drawn one over the other, without the commands to the terminal."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()))


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


@pytest.mark.parametrize("columns", ["0", "1"])
def test_a_terminal_without_a_width_is_written_to(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    stream = io.StringIO()
    Console(stream=stream).line("begun at last")
    assert stream.getvalue() == "begun at last\n"


def test_a_run_goes_on_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from spdbuild.console import Console
said = Console()
said.log = Path({str(tmp_path / "log.txt")!r})
for line in ("one", "two", "three"):
    said.line(line)
print("done")
"""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=writer, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert (tmp_path / "log.txt").read_text() == "one\ntwo\nthree\n"


def test_a_quiet_run_says_nothing_and_logs_all_the_same(tmp_path: Path) -> None:
    stream, log = io.StringIO(), tmp_path / "log.txt"
    quiet = Console(quiet=True, stream=stream)
    quiet.log = log
    quiet.line("begun")
    with quiet.bar("epoch", 2) as bar:
        assert not bar.due
    assert (stream.getvalue(), log.read_text()) == ("", "begun\n")


def test_in_a_terminal_a_bar_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "RichConsole", partial(RichConsole, force_terminal=True, width=124))
    stream = _Terminal()
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
    stream = _Terminal()
    with Console(stream=stream).bar("[red]:100:", total=2) as bar:
        bar.advance(1, "[b]ap :dog:")
    drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "[red]:100: " in drawn
    assert "[b]ap :dog:" in drawn


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_bar_in_a_narrow_terminal_has_what_matters(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(console, "RichConsole", partial(RichConsole, force_terminal=True, width=width))
    stream = _Terminal()
    with Console(stream=stream).bar("epoch 1/3", total=10) as bar:
        bar.advance(6, "loss 0.5000  top1 0.7500  70 images/s  best top1 0.8000  run: 0:01:00 left")
    *_, last = (line for line in _drawn(stream) if "epoch" in line)
    assert re.match(r"epoch 1/3 \S{8,20} +6/10 (-|\d):..:..", last)
    # The terminal writes ^C at the end of the line; were it full, the bar could not be erased.
    assert len(last) <= width - 4


def test_colours_that_are_forced_make_no_terminal_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    with Console(stream=stream).bar("epoch 1/3", total=2) as bar:
        bar.advance(1)
    assert stream.getvalue() == ""


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = _Terminal()
    with Console(stream=stream).bar("epoch 1/3", total=2, of="") as bar:
        bar.advance(1, "loss 0.5")
    assert re.fullmatch(r"epoch 1/3  1/2  \d+ s left  loss 0.5\n", stream.getvalue())


def test_in_a_terminal_lines_are_folded_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "RichConsole", partial(RichConsole, force_terminal=True, width=36))
    stream = _Terminal()
    Console(stream=stream).line(
        "epoch 1/40  train/loss 1.387  test/top1 0.5\nstate in /tmp/a-folder/whose-path/is/longer"
    )
    assert stream.getvalue().splitlines() == [
        "epoch 1/40  train/loss 1.387",
        # Not between the name and its value.
        "test/top1 0.5",
        "state in",
        "/tmp/a-folder/whose-path/is/longer",
    ]
