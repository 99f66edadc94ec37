"""The messages of a run: progress bars in a terminal, plain lines elsewhere, and everything in its log."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from spdbuild.system.files import append
from spdbuild.wording.phrases import printable

#: Seconds between two looks at a value that requires waiting for the device: of a bar, and of lines in a log.
BAR_INTERVAL = 0.2
LINE_INTERVAL = 30.0
#: A space at which no line is folded.
_JOINT = "\N{NO-BREAK SPACE}"


class Bar:
    """The progress of an epoch. This one shows nothing."""

    due = False

    def advance(self, steps: int, text: str | None = None) -> None:
        """Advance by `steps`, with another text if one is given."""


class _Narrow:
    """Leaves room at the right for the ^C of the terminal, which else breaks the line, so that a part of it stays."""

    def __init__(self, wide: RenderableType) -> None:
        self._wide = wide

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._wide, options.update_width(max(1, options.max_width - len("^C^C"))))


class _Progress(Progress):
    """A progress display that does not fill its lines."""

    def get_renderable(self) -> RenderableType:
        return _Narrow(super().get_renderable())


class _TerminalBar(Bar):
    """A progress bar of rich."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._shown = 0.0

    @property
    def due(self) -> bool:  # type: ignore[override]
        """Whether it is time to show values again."""
        return time.monotonic() - self._shown > BAR_INTERVAL

    def advance(self, steps: int, text: str | None = None) -> None:
        if text is None:
            self._progress.update(self._task, advance=steps)
            return
        self._shown = time.monotonic()
        self._progress.update(self._task, advance=steps, text=text)


class _Lines(Bar):
    """A plain line now and then: the progress, the time left, and the values."""

    def __init__(self, say: Callable[[str], None], title: str, total: int, done: int, left: str) -> None:
        self._say, self._title, self._total, self._left = say, title, total, left
        self._first = self._done = done
        self._started = self._shown = time.monotonic()

    @property
    def due(self) -> bool:  # type: ignore[override]
        """Whether it is time to say something again."""
        return time.monotonic() - self._shown > LINE_INTERVAL

    def advance(self, steps: int, text: str | None = None) -> None:
        self._done += steps
        if text is None:
            return
        self._shown = time.monotonic()
        left = (self._shown - self._started) / (self._done - self._first) * (self._total - self._done)
        self._say(f"{self._title}  {self._done}/{self._total}  {left:.0f} s {self._left}  {text}".rstrip())


class Console:
    """Writes to stderr, unless quiet, and to a log file.

    quiet: write nothing to stderr, also the case if it is closed; the log is written all the same.
    log: the file, once it is known.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self.quiet = quiet or stream is None
        self.log: Path | None = None
        self._unwritten = ""
        self._rich = RichConsole(file=stream, highlight=False, emoji=False, soft_wrap=True)
        if self._rich.width < 1:
            # With COLUMNS=0, which some programs set for want of a terminal, rich would print nothing.
            self._rich.width = shutil.get_terminal_size().columns
        self._rich.on_broken_pipe = self._go_on_unread  # type: ignore[method-assign]
        # FORCE_COLOR alone makes no terminal of a file, and a dumb one does not move its cursor.
        self._terminal = stream is not None and stream.isatty() and not self._rich.is_dumb_terminal

    def line(self, text: str = "") -> None:
        """Write one line. A run does not fail because its messages cannot be written."""
        text = printable(text, lines=True)
        self.note(text)
        if not self.quiet:
            with suppress(OSError):
                self._rich.print(self._folded(text) if self._terminal else text, markup=False)

    def _go_on_unread(self) -> None:
        """Say nothing more, because nobody reads it; what rich itself does then is end the program."""
        self._rich.quiet = True
        # Python keeps what could not be written, and would fail to write it when it ends.
        with suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), self._rich.file.fileno())

    def _folded(self, text: str) -> str:
        """The text with its lines folded between words; a word stays whole, so that a path can be copied."""
        return "\n".join(map(self._folded_line, text.split("\n")))

    def _folded_line(self, line: str) -> str:
        # Where two spaces separate, as in `loss 0.5  top1 0.7`, one joins a name and its value.
        joined = re.sub(r"(?<! ) (?! )", _JOINT, line) if "  " in line.strip() else line
        folded = textwrap.fill(joined, self._rich.width, break_long_words=False, break_on_hyphens=False)
        return folded.replace(_JOINT, " ")

    def note(self, text: str) -> None:
        """Write a line to the log alone."""
        if self.log is not None:
            self._write(self.log, text + "\n")

    def _write(self, log: Path, line: str) -> None:
        """Append to the log, after the lines for which the disk had no room."""
        self._unwritten += line
        with suppress(OSError):
            append(log, self._unwritten.encode(errors="backslashreplace"))
            self._unwritten = ""

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0, *, of: str = "the epoch") -> Iterator[Bar]:
        """A bar of `total` steps while the context lasts; lines if there is no terminal.

        of: what the time left refers to; empty: everything.
        """
        left = f"left of {of}" if of else "left"
        if self.quiet or not self._terminal:
            yield Bar() if self.quiet else _Lines(self.line, title, total, done, left)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(min(20, self._rich.width // 5)),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            # Of a narrow terminal, the other columns have what they need, and this one the rest.
            TextColumn(f"{left}  {{task.fields[text]}}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
        )
        with _Progress(*columns, console=self._rich, transient=True, expand=True) as progress:
            yield _TerminalBar(progress, progress.add_task(title, total=total, completed=done, text=""))
