"""What stands before a network's names in a file: "module." of a wrapper, "backbone." of a larger network."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from spdbuild.errors import WeightsError
from spdbuild.weights.report import choice_hint
from spdbuild.wording.phrases import some

#: Parts of the longest prefix that is looked for.
MAX_PREFIX = 8
SHOWN = 4

#: What torch's AveragedModel counts beside the weights of its module, and what stands before these.
COUNT, MODULE = "n_averaged", "module"


class SeveralFitError(WeightsError):
    """A file with several networks that fit."""


@dataclass(frozen=True)
class Reading:
    """A file read with the rename table `table` and with `prefix` before its names.

    found: names of the file that the network looks up. fitting: those of them with as many elements as it needs.
    """

    table: str
    prefix: str
    found: set[str] = field(default_factory=set)
    fitting: set[str] = field(default_factory=set)


def choose_reading(
    tables: Mapping[str, Mapping[str, int]], theirs: Mapping[str, int], prefix: str | None = None
) -> tuple[str, str]:
    """The table and the prefix with which most weights fit.

    tables: for each table the names that the network looks up, and for each the number of elements that it needs.
    theirs: the same of the file. prefix: the only one, if it is known.
    On a tie the shortest prefix wins, for a network may have a `backbone` of its own, and then the first table.

    Raises SeveralFitError if other tensors of the file, behind another prefix, fit as well: if they are as many, or if
    they are more than half as many and none of them has another size.
    """
    readings = [reading for reading in _readings(tables, theirs) if prefix in (None, reading.prefix)]
    order = {table: number for number, table in enumerate(tables)}

    def rank(reading: Reading) -> tuple[int, ...]:
        parts = reading.prefix.count(".")
        return len(reading.fitting), len(reading.found), -parts, -order[reading.table]

    best = max(readings, key=rank, default=Reading(next(iter(tables)), prefix or ""))
    rivals = [reading.prefix for reading in readings if _is_rival(reading, best)]
    if rivals:
        prefixes = list(dict.fromkeys([best.prefix, *rivals]))
        named = some([f"'{prefix}'" for prefix in sorted(prefixes)], SHOWN)
        message = f"the file holds several networks that fit, under the prefixes {named}"
        raise SeveralFitError(message, hint=f"choose one: {choice_hint('prefix', best.prefix)}")
    return best.table, best.prefix


def _readings(tables: Mapping[str, Mapping[str, int]], theirs: Mapping[str, int]) -> Collection[Reading]:
    wanted: dict[str, list[tuple[str, int]]] = {}
    for table, sizes in tables.items():
        for name, size in sizes.items():
            wanted.setdefault(name, []).append((table, size))
    readings: dict[tuple[str, str], Reading] = {}
    for name, given in theirs.items():
        for prefix, rest in _splits(name):
            for table, size in wanted.get(rest, ()):
                reading = readings.setdefault((table, prefix), Reading(table, prefix))
                reading.found.add(name)
                if given == size:
                    reading.fitting.add(name)
    return readings.values()


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """A name cut before its first part, its second, ...: ("", "a.b"), ("a.", "b")."""
    start = 0
    for _ in range(MAX_PREFIX):
        yield name[:start], name[start:]
        start = name.find(".", start) + 1
        if not start:
            return


def _is_rival(other: Reading, best: Reading) -> bool:
    """Whether tensors that `best` does not look up are as good a choice; a few with usual names are not."""
    if other.prefix == best.prefix:
        return False
    left_out, fitting = len(other.fitting - best.found), len(best.fitting)
    whole = other.found == other.fitting and 2 * left_out > fitting
    return left_out > 0 and (left_out == fitting or whole)


def averaging_counts(names: Collection[str]) -> set[str]:
    """The names that are no weights but counts of torch's AveragedModel: `n_averaged` beside nothing but a module."""
    holders = {name.removesuffix(COUNT) for name in names if f".{name}".endswith(f".{COUNT}")}
    if not holders:
        return set()
    modules, others = set[str](), set[str]()
    for name in names:
        for prefix, rest in _splits(name):
            if prefix in holders and rest != COUNT:
                (modules if rest.startswith(f"{MODULE}.") else others).add(prefix)
    return {f"{holder}{COUNT}" for holder in holders & modules - others}
