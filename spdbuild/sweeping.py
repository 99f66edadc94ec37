"""A recipe over a grid of values: one run for each combination, those that are there already left as they are."""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any, Literal

from spdbuild.console import Console
from spdbuild.errors import (
    ArgumentError,
    DiskFullError,
    FolderTakenError,
    Problem,
    RecipeError,
    SpdbuildError,
    StoppedError,
)
from spdbuild.reporting.run import Run, read_run
from spdbuild.text.source import Source, parse_yaml
from spdbuild.text.yaml_text import inline
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.network.network import resolve
from spdbuild.training.processes.job import current_job
from spdbuild.training.recipe import Recipe, load_recipe, twins
from spdbuild.training.recipe.expected import check_metrics
from spdbuild.training.recipe.overrides import Overrides, listed
from spdbuild.training.running.checking import check_recipe
from spdbuild.training.running.run import check_changes, train_in
from spdbuild.training.trained.stored_run import stored_network
from spdbuild.wording.phrases import number

Progress = Literal["done", "unfinished", "new"]
State = Progress | Literal["failed", "taken"]

#: Combinations; a larger grid is taken for a mistake.
_MOST = 1_000

#: Characters of a value in the name of a folder, and bytes of the name.
_LONGEST = 40
_LONGEST_NAME = 180

#: The hint where a sweep ends early; that of the run would leave the others of the grid undone.
_GO_ON = "start the same sweep again: it goes on with this run, and then with the others"


@dataclass(frozen=True, eq=False)
class Point:
    """A combination of values: its folder, its recipe, and the overrides that made it."""

    folder: Path
    recipe: Recipe
    overrides: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.overrides)

    def __repr__(self) -> str:
        return f"Point({self})"

    @property
    def state(self) -> Progress:
        """How far the run in the folder has come, with the runs that it is compared with."""
        if not RunFolder(self.folder).recipe.is_file():
            return "new"
        wanted = {self.folder: self.recipe, **{self.folder / name: one for name, one in twins(self.recipe).items()}}
        found = [(_ended(folder), one.epochs) for folder, one in wanted.items()]
        return "done" if all(run and run.recipe["epochs"] >= epochs for run, epochs in found) else "unfinished"

    @property
    def metrics(self) -> dict[str, float]:
        """What the run has measured at its end; empty before that."""
        run = _ended(self.folder)
        measured = run.summary.metrics if run else {}
        return {name: value for name, value in measured.items() if value is not None}


@dataclass(frozen=True)
class Sweep:
    """The runs of a grid, in the order in which they are trained.

    folder: where they are. states: of each point; taken: another process was training it. errors: of those that failed.
    """

    folder: Path
    points: tuple[Point, ...]
    states: tuple[State, ...]
    errors: Mapping[Point, SpdbuildError]

    def __repr__(self) -> str:
        return f"Sweep({self.folder}: {', '.join(f'{n} {state}' for state, n in Counter(self.states).items())})"

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild sweep --json` prints."""
        runs = [
            {
                "folder": str(point.folder),
                "overrides": list(point.overrides),
                "state": state,
                "metrics": point.metrics,
                "error": str(self.errors[point]) if point in self.errors else None,
            }
            for point, state in zip(self.points, self.states, strict=True)
        ]
        return {"folder": str(self.folder), "runs": runs}


def sweep(
    recipe: str | Path | Mapping[str, Any],
    over: Mapping[str, Sequence[Any]],
    overrides: Overrides = (),
    *,
    runs: str | Path = "runs",
    dry: bool = False,
    quiet: bool = False,
    allow_imports: bool = False,
) -> Sweep:
    """Run a recipe once for each combination of values, the last key changing first.

    over: the values of each key, such as {"seed": [0, 1, 2], "optimizer.lr": [0.1, 0.05]}.
    overrides, allow_imports: as in `train`.
    runs: where the folder of the sweep is made, TITLE_sweep. A run in it that has come to its end is left as it is, one
        that has not goes on; so a sweep that was stopped is called again, and one that is called with more values adds
        runs. Several processes can share the work: none takes a run in which another trains.
    dry: whether only to check and plan.

    All combinations are checked before the first is run, and the mistakes of all raised together. A run that fails does
    not keep the others from being run. Raises RecipeError and ArgumentError for what cannot be run, StoppedError when a
    signal stops a run, and DiskFullError.
    """
    console = Console(quiet)
    if current_job().world > 1:
        raise RecipeError(
            "a sweep is run by one process", hint="start several sweeps side by side: they share the runs among them"
        )
    folder, points = _points(recipe, over, listed(overrides), Path(runs), allow_imports)
    counts = Counter(point.state for point in points)
    told = ", ".join(f"{counts[state]} {state}" for state in ("done", "unfinished", "new") if counts[state])
    console.line(f"{number(len(points), 'run')} in {folder}: {told}")
    errors, taken = dict[Point, SpdbuildError](), list[Point]()
    clock = _Clock(len(points) - counts["done"])
    numbers = {point: place for place, point in enumerate(points, start=1)}
    # Those in which another process trains come up once more at the end: it may have died.
    for point in () if dry else chain(points, taken):
        # Another process may have come first.
        done = point.state == "done"
        try:
            if done:
                check_metrics(point.recipe.expect, point.recipe.task.metrics(), point.metrics)
                continue
            console.line(f"\nrun {numbers[point]} of {len(points)}: {point}{clock.left()}")
            train_in(point.folder, point.recipe, quiet=quiet, allow_imports=allow_imports)
        except FolderTakenError:
            console.line("another process is training it")
            if point not in taken:
                taken.append(point)
                continue
        except StoppedError as error:
            raise StoppedError(error.problems[0].message, signal=error.signal, hint=_GO_ON) from None
        except DiskFullError as error:
            raise DiskFullError(error.problems[0].message, hint=f"make room, and {_GO_ON}") from None
        except SpdbuildError as error:
            console.line(str(error))
            errors[point] = error
        if not done:
            clock.count()
    return Sweep(folder, points, tuple(_state(point, errors, taken) for point in points), errors)


def _state(point: Point, errors: Collection[Point], taken: Collection[Point]) -> State:
    state = "failed" if point in errors else point.state
    # What another process has brought to its end by now is done.
    return "taken" if point in taken and state != "done" else state


def grid_of(texts: Sequence[str]) -> dict[str, list[Any]]:
    """`over` of "key.path=value,value,..." as on the command line; the values are YAML. Raises RecipeError."""
    found = dict[str, list[Any]]()
    for text in texts:
        key, equals, values = text.partition("=")
        if not key or not equals:
            raise RecipeError(f"'{text}' names no values", hint="write key.path=value,value,...")
        if key in found:
            raise RecipeError(f"'{key}' is given twice", hint=f"write all its values at once: {key}=...,...")
        listed_values = parse_yaml(Source("command line", f"[{values}]")).plain()
        assert isinstance(listed_values, list)
        found[key] = listed_values
    return found


def _points(
    recipe: str | Path | Mapping[str, Any],
    over: Mapping[str, Sequence[Any]],
    overrides: tuple[str, ...],
    runs: Path,
    allow_imports: bool,
) -> tuple[Path, tuple[Point, ...]]:
    """The folder of a sweep and its points, all of them checked."""
    _check_grid(over, overrides)
    found, problems = list[tuple[dict[str, Any], Recipe]](), list[Problem]()
    for values in product(*over.values()):
        combination = dict(zip(over, values, strict=True))
        try:
            wanted, _ = check_recipe(recipe, (*overrides, *listed(combination)), allow_imports=allow_imports)
        except SpdbuildError as error:
            problems += error.problems
        else:
            found.append((combination, wanted))
    if problems:
        raise RecipeError.gather(list(dict.fromkeys(problems)))
    title = load_recipe(recipe, overrides).title if "title" in over else found[0][1].title
    folder = runs / f"{title or 'run'}_sweep"
    if RunFolder(folder).recipe.is_file():
        raise RecipeError(f"{folder} is the folder of a run", hint="give the sweep another folder for runs")
    points = tuple(Point(folder / _name(one), wanted, listed(one)) for one, wanted in found)
    _refuse_equal(points)
    for point in points:
        problems += _other_run(point)
    if problems:
        raise RecipeError.gather(problems)
    return folder, points


def _refuse_equal(points: Sequence[Point]) -> None:
    """Refuse combinations that are the same recipe, such as 1 and 1.0."""
    known = dict[str, Point]()
    for point in points:
        other = known.setdefault(point.recipe.resolved(), point)
        if other is not point:
            raise ArgumentError(f"'{other}' and '{point}' are the same recipe", argument="over")


def _other_run(point: Point) -> list[Problem]:
    """A problem if the folder of a point has another run than its recipe asks for."""
    folder = RunFolder(point.folder)
    if not folder.recipe.is_file():
        return []
    hint = "give the sweep another folder for runs, or a title"
    try:
        stored = load_recipe(folder.recipe)
        check_changes(stored, point.recipe)
        if stored.epochs > point.recipe.epochs:
            message = f"it is trained for {stored.epochs} epochs, and 'epochs' is {point.recipe.epochs}"
            raise RecipeError(message, location=point.recipe.place("epochs"))
        if folder.architecture.is_file() and not _has_network(point.recipe, stored_network(stored, folder)):
            message = f"'{point.recipe.architecture}' was another network then"
            raise RecipeError(message, location=point.recipe.place("architecture"))
    except SpdbuildError as error:
        message = f"{point.folder} has another run: {error.problems[0].message}"
        return [Problem(message, error.problems[0].location, hint=hint)]
    return []


def _has_network(recipe: Recipe, stored: Recipe) -> bool:
    """Whether a recipe asks for a stored network, for the classes and the images of that."""
    kept = resolve(stored)
    own = {**kept.document.vars, **kept.document.variants.get(kept.variant or "", {}), **kept.vars}
    graph = kept.graph
    size = graph.inputs[0].shape[1:]
    return resolve(recipe, own.get("classes"), (size[0], size[1]) if len(size) == 2 else None).graph == graph


def _check_grid(over: Mapping[str, Sequence[Any]], overrides: Sequence[str]) -> None:
    if not isinstance(over, Mapping):
        raise ArgumentError(f"a grid is a mapping of keys to lists of values, got {over!r}", argument="over")
    count = 1
    for key, values in over.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise ArgumentError(f"'{key}' needs a list of values, got {values!r}", argument="over")
        if any(text.partition("=")[0] == key for text in overrides):
            raise ArgumentError(f"'{key}' is set by an override and varied by the grid", argument="over")
        texts = Counter(text.partition("=")[2] for value in values for text in listed({key: value}))
        twice = next((text for text, count in texts.items() if count > 1), None)
        if twice is not None:
            raise ArgumentError(f"'{key}' has the value {twice} twice", argument="over")
        count *= len(values)
    if not over or count > _MOST:
        why = f"has {count:,} combinations, and {_MOST:,} are the most" if over else "names no key"
        raise ArgumentError(f"the grid {why}", argument="over")


def _name(combination: Mapping[str, Any]) -> str:
    """The name of a run's folder: seed=0,optimizer.lr=0.1."""
    name = ",".join(f"{_plain(key)}={_plain(inline(value))}" for key, value in combination.items())
    cut = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return name if cut == name else f"{cut}-{_digest(name)}"


def _plain(text: str) -> str:
    """A text as a part of the name of a folder; one with other signs is told from those like it by its digest."""
    plain = re.sub(r"[^\w.+-]+", "_", text).strip("_")[:_LONGEST]
    return plain if plain == text else f"{plain}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _ended(folder: Path) -> Run | None:
    """The run in a folder; None if it has not come to its end."""
    try:
        return read_run(folder)
    except SpdbuildError:
        return None


class _Clock:
    """How long the runs take that are still to be done."""

    def __init__(self, runs: int) -> None:
        self._left, self._done, self._started = runs, 0, time.monotonic()

    def count(self) -> None:
        """One run is done."""
        self._left -= 1
        self._done += 1

    def left(self) -> str:
        """`; about 12 minutes left`, judged by the runs so far."""
        if not self._done:
            return ""
        minutes = (time.monotonic() - self._started) / self._done * self._left / 60
        return f"; about {minutes:.0f} minutes left" if minutes >= 1 else "; less than a minute left"
