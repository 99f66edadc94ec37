"""Errors caused by what a user wrote or gave, and how they are shown.

SpdbuildError                      everything that is reported without a traceback
├── InputError                     wrong input; exit code 2
│   ├── SourceError                text that its format does not allow
│   │   ├── ExpressionError        a mistake in an expression
│   │   └── IncompleteDocument     an architecture with mistakes, and what could be read of it
│   ├── UnknownNameError           a name that does not exist
│   ├── NoSuchFileError            a name that is neither a path nor that of a built-in file
│   ├── ArgumentError              an argument that is missing, unknown or out of range
│   ├── ShapeError                 tensors whose shapes do not fit an op
│   ├── PassError                  a pass that cannot do what its options ask
│   ├── Unknown                    a layer or function of torch that our language has no op for
│   ├── RecipeError                a recipe that cannot be run as written
│   │   └── FolderTakenError       the folder of a run in which another process trains
│   ├── DataError                  a data set that is not what the recipe says
│   │   └── MissingSplitError      a split that the data set does not have
│   │       └── UnsplitError       the same, of a data set that is not split at all
│   └── WeightsError               a weights file or checkpoint that does not fit
│       └── SeveralFitError        a file in which several networks fit
└── RunError                       a run or comparison that failed; exit code 1
    └── DiskFullError              a file for which the disk has no room

StoppedError is a run that a signal has stopped: a KeyboardInterrupt, which nobody takes for a failure by mistake.

Code that does not know the file raises an error with only a message; a caller that knows the place adds it with `at`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from signal import SIGINT, Signals

from spdbuild.wording.phrases import printable, some

#: What a shell adds to the number of the signal that ended a program.
SIGNALLED = 128


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a text: file name, 1-based line and column, and the line itself."""

    file: str
    line: int
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, one thing to do next, and the trail of blocks that led there.

    kind: "error", or "warning" for what is doubtful but harmless.
    """

    message: str
    location: Location | None = None
    hint: str = ""
    trail: tuple[str, ...] = ()
    kind: str = "error"

    def __str__(self) -> str:
        where = f"{self.location}: " if self.location else ""
        lines = [f"{where}{self.kind}: {self.message}"]
        margin = "     "
        if self.location and self.location.text:
            number = f"{self.location.line:>5}"
            margin = " " * len(number)
            text, caret = _window(self.location.text, self.location.column - 1)
            lines += [f"{number} | {text}".rstrip(), f"{margin} | {' ' * caret}^"]
        if self.hint:
            lines.append(f"{margin} = hint: {self.hint}")
        lines += [f"{margin} = {step}" for step in self.trail]
        return printable("\n".join(lines), lines=True)


def _window(text: str, column: int, width: int = 120) -> tuple[str, int]:
    """The part of a long line around `column`, and the column within that part; tabs become spaces."""
    start = max(0, min(column - width // 2, len(text) - width))
    part = text[start : start + width].replace("\t", " ")
    return "".join(c if c.isprintable() else "?" for c in part), column - start


class SpdbuildError(Exception):
    """One or more problems that the user can fix; `str` is what the command line prints."""

    exit_code = 2

    def __init__(
        self, message: str, *, location: Location | None = None, hint: str = "", trail: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.problems: tuple[Problem, ...] = (Problem(message, location, hint, tuple(trail)),)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.problems)

    def at(self, location: Location | None, *, hint: str = "", trail: Sequence[str] = ()) -> SpdbuildError:
        """The same error with location, hint and trail filled in where its problems had none."""
        placed = [
            replace(p, location=p.location or location, hint=p.hint or hint, trail=p.trail or tuple(trail))
            for p in self.problems
        ]
        return _restore(type(self), tuple(placed))

    @classmethod
    def gather(cls, problems: Iterable[Problem]) -> SpdbuildError:
        """One error for all `problems`: first those without a place, then file by file, in order of place."""
        unique = dict.fromkeys(problems)
        files = list(dict.fromkeys(p.location.file for p in unique if p.location))

        def place(problem: Problem) -> tuple[int, int, int]:
            at = problem.location
            return (files.index(at.file), at.line, at.column) if at else (-1, 0, 0)

        return _restore(cls, tuple(sorted(unique, key=place)))


def _restore(kind: type[SpdbuildError], problems: tuple[Problem, ...]) -> SpdbuildError:
    error = kind(problems[0].message)
    error.problems = problems
    return error


class InputError(SpdbuildError):
    """Something that the user typed or gave cannot be used."""


class SourceError(InputError):
    """Text that its format does not allow."""


class UnknownNameError(InputError):
    """A name that does not exist."""


class ArgumentError(InputError):
    """An argument that is missing, unknown, of the wrong type or out of range; `argument` names it."""

    def __init__(self, message: str, *, argument: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.argument = argument


class ShapeError(InputError):
    """Tensors whose shapes do not fit the op that reads them."""


class PassError(InputError):
    """A pass that cannot do what its options ask."""


class RecipeError(InputError):
    """A recipe that cannot be run as it is written."""


class FolderTakenError(RecipeError):
    """The folder of a run in which another process trains."""


class DataError(InputError):
    """A data set that is not what the recipe says it is."""


class MissingSplitError(DataError):
    """A split that the data set does not have; one that cannot be read is a DataError."""


class UnsplitError(MissingSplitError):
    """A split of a data set that is not split: all of its images are for training."""


class WeightsError(InputError):
    """A weights file or checkpoint that cannot be used here."""


class RunError(SpdbuildError):
    """A run or a comparison that was started and failed."""

    exit_code = 1


class DiskFullError(RunError):
    """A file for which the disk has no room, whatever command wanted to write it."""


class StoppedError(KeyboardInterrupt):
    """A run that a signal has stopped, with its state saved; like any Ctrl-C it passes every `except Exception`.

    signal: which one; the exit code is that of any program which the signal ends, 130 after Ctrl-C.
    """

    def __init__(self, message: str, *, signal: int = SIGINT, hint: str = "") -> None:
        super().__init__(message)
        self.problems = (Problem(message, hint=hint),)
        self.signal = Signals(signal)
        self.exit_code = SIGNALLED + signal

    def __str__(self) -> str:
        return str(self.problems[0])

    def __reduce__(self) -> tuple[object, ...]:
        (problem,) = self.problems
        return partial(StoppedError, problem.message, signal=int(self.signal), hint=problem.hint), ()


def first_line(error: BaseException) -> str:
    """The first line with text of an error; for one of ours, its message; for one without text, its type."""
    if isinstance(error, SpdbuildError):
        return error.problems[0].message
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint with the known name nearest to `name`, else a list of the known names; empty if there are none."""
    names = sorted(set(known))
    close = nearest_name(name, names)
    if close is not None:
        return f"did you mean '{close}'?"
    return f"known: {some(names, 12)}" if names else ""


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name most similar to `name`; None if none is similar."""
    names = sorted(set(known))
    # To difflib, upper and lower case are different letters, and 'adamW' is nearer to 'adam' than to 'adamw'.
    same = next((other for other in names if other.casefold() == name.casefold()), None)
    return same or _most_similar(name, names)


def _most_similar(name: str, others: Iterable[str]) -> str | None:
    """What `difflib.get_close_matches` finds first, in much less time among many names that resemble each other."""
    matcher = difflib.SequenceMatcher()
    matcher.set_seq2(name)
    best, least = None, 0.6
    for other in others:
        matcher.set_seq1(other)
        # Upper bounds of the ratio, which takes longest.
        if matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least and matcher.ratio() >= least:
            best, least = other, matcher.ratio()
    return best
