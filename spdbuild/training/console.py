"""What a run says: bars where there is a terminal, plain lines elsewhere, and everything into its log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

#: Seconds between two looks at a value for which the device must be waited for.
INTERVAL = 0.5


class Bar:
    """The progress of an epoch; without a terminal it shows nothing."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress, self._task = progress, task
        self._shown = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time to show values again."""
        return self._progress is not None and time.monotonic() - self._shown > INTERVAL

    def advance(self, steps: int, text: str | None = None) -> None:
        """Go on by `steps`, with another text."""
        if self._progress is None or self._task is None:
            return
        if text is not None:
            self._shown = time.monotonic()
            self._progress.update(self._task, advance=steps, text=text)
        else:
            self._progress.update(self._task, advance=steps)


class Console:
    """Speaks on stderr, unless quiet, and into a log file.

    quiet: say nothing; the log is written all the same.
    log: the file, from when it is known.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.quiet = quiet
        self.log: Path | None = None
        self._rich = RichConsole(file=stream or sys.stderr, highlight=False, soft_wrap=True)

    def line(self, text: str = "") -> None:
        """Say one line."""
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        if not self.quiet:
            self._rich.print(text, markup=False)

    @contextmanager
    def bar(self, title: str, total: int, done: int = 0) -> Iterator[Bar]:
        """A bar of `total` steps while the context lasts."""
        if self.quiet or not self._rich.is_terminal:
            yield Bar(None, None)
            return
        columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[text]}"), console=self._rich, transient=True) as progress:
            yield Bar(progress, progress.add_task(title, total=total, completed=done, text=""))
