"""What failed in the expansion of a network, gathered so that all of it can be told at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spdbuild.errors import Location, Problem, SourceError, SpdbuildError
from spdbuild.wording.phrases import some

#: After so many mistakes no more are looked for, nor after so many failures, of which a mistake in a block makes many.
MAX_PROBLEMS = 100
MAX_FAILURES = 1_000

#: How many further uses of a line are named.
_NAMED = 3


class Failures:
    """The failures of lines; those at one place, in a block that is used several times, are one mistake."""

    def __init__(self) -> None:
        #: By place the full names of the uses of its line, and why each failed.
        self._places: dict[Location | None, list[tuple[str, SpdbuildError]]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, name: str, error: SpdbuildError) -> None:
        """Remember why the line, or the output, with the full name `name` failed."""
        self._places.setdefault(error.problems[0].location, []).append((name, error))
        self._count += 1

    @property
    def enough(self) -> bool:
        """Whether no more are to be looked for."""
        return len(self._places) == MAX_PROBLEMS or self._count == MAX_FAILURES

    def error(self) -> SpdbuildError:
        """All of them as one error, of the class that they share, if any."""
        kinds = {type(uses[0][1]) for uses in self._places.values()}
        return (kinds.pop() if len(kinds) == 1 else SourceError).gather(list(self._problems()))

    def _problems(self) -> Iterator[Problem]:
        """At each place those of the first use, which name the others."""
        for (_, error), *others in self._places.values():
            uses = (f"also in {some([name for name, _ in others], _NAMED)}",) if others else ()
            for problem in error.problems:
                yield replace(problem, trail=problem.trail and problem.trail + uses)
