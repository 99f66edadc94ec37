"""A run from its recipe to its results: the folder, the twins, and resuming where one stopped."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from signal import Signals
from statistics import median
from typing import Any

import torch

from spdbuild.console import Console
from spdbuild.declaring.roles import Role
from spdbuild.errors import ArgumentError, DiskFullError, RecipeError, RunError, StoppedError
from spdbuild.system.files import make_folder, remove_unfinished
from spdbuild.system.freed_memory import freed_memory_kept
from spdbuild.system.out_of_memory import full_memory_told
from spdbuild.training.checkpoint import generators_kept, load_state
from spdbuild.training.device import current, determinism, device_of
from spdbuild.training.folder.folder_lock import alone_in
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.folder.writing import save_text
from spdbuild.training.network.network import allow
from spdbuild.training.processes.distributed import Processes, joined
from spdbuild.training.processes.job import current_job
from spdbuild.training.processes.lost_workers import lost_workers_told
from spdbuild.training.recipe import Recipe, load_recipe, twins
from spdbuild.training.recipe.differences import differences, keys_with
from spdbuild.training.recipe.expected import check_metrics
from spdbuild.training.recipe.overrides import Overrides, listed
from spdbuild.training.report.report import write_page, write_report
from spdbuild.training.result import Result, comparison_table
from spdbuild.training.running.checking import check_recipe, doubts
from spdbuild.training.running.description import describe, describe_again, write_description
from spdbuild.training.running.loop import Loop
from spdbuild.training.running.saving import restore_best
from spdbuild.training.running.session import Session, make_session
from spdbuild.training.running.signals import interrupt_on_signals, stop_on_signals
from spdbuild.training.running.state import restore
from spdbuild.training.trained.plugins import origin_told
from spdbuild.training.trained.stored_run import stored_network
from spdbuild.wording.quantities import shapes_text

#: The line above the table of a run and its twins.
_TABLE = "Metrics of each run's last epoch; `spdbuild eval` takes the weights of the best one."


def train(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Overrides = (),
    *,
    runs: str | Path = "runs",
    quiet: bool = False,
    allow_imports: bool = False,
) -> Result:
    """Run a recipe in a new folder below `runs`.

    recipe: a path, the name of a built-in recipe, YAML text, a mapping of keys, or a loaded recipe.
    overrides: changes to it, "key.path=value" or "~key", or a mapping of key paths to values; ArgumentError with a
        loaded recipe.
    allow_imports: whether Python files that its architecture names under `imports:` may run.

    Raises RecipeError if the recipe cannot be run, DataError for its data, WeightsError for its weights, RunError if
    the run fails or misses a value of `expect`, and StoppedError, a KeyboardInterrupt, if a signal stops it.
    """
    overrides = listed(overrides)
    if isinstance(recipe, Recipe) and overrides:
        raise ArgumentError(f"a recipe that is read already takes no overrides: {overrides[0]}", argument="overrides")
    wanted, _ = check_recipe(recipe, overrides, allow_imports=allow_imports)
    runs, title = Path(runs), wanted.title or "run"
    # Before the device, which is chosen by the number of this process.
    current_job()
    device = device_of(wanted)
    with (
        current(device),
        joined(device) as processes,
        generators_kept(device),
        _no_empty_folders(runs, processes),
    ):
        folder = RunFolder(Path(processes.once(lambda: str(RunFolder.create(runs, title).path))))
        if processes.first and folder.recipe.is_file():
            check_changes(load_recipe(folder.recipe), wanted)
        return _all_runs(wanted, folder, Console(quiet or not processes.first), processes)


@contextmanager
def _no_empty_folders(runs: Path, processes: Processes) -> Iterator[None]:
    """Remove `runs` and its parents when the context ends, if they are new and empty."""
    made = [path for path in (runs, *runs.parents) if processes.first and not path.exists()]
    try:
        yield
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def resume(
    folder: str | Path, overrides: Overrides = (), *, quiet: bool = False, allow_imports: bool = False
) -> Result:
    """Resume the run in `folder` as if it had not stopped.

    overrides: as in `train`, but only of the keys that docs/recipes.md marks with an arrow, such as epochs.
    allow_imports: whether Python files that came with its architecture may run.

    Raises as `train` does, and RecipeError for another key, and if the data or the network have changed, or another
    process trains in the folder.
    """
    if not isinstance(folder, str | Path):
        raise ArgumentError(f"a run is a folder, got an object of {type(folder).__name__}", argument="folder")
    stored = RunFolder.open(Path(folder))
    stored.refuse_links_out()
    with origin_told(stored):
        wanted = load_recipe(stored.recipe, overrides)
        _check_stored(stored, wanted, allow_imports)
    current_job()
    device = device_of(wanted)
    with current(device), joined(device) as processes, generators_kept(device):
        return _all_runs(wanted, stored, Console(quiet or not processes.first), processes)


def train_in(folder: str | Path, recipe: Recipe, *, quiet: bool = False, allow_imports: bool = False) -> Result:
    """Run a recipe in `folder`, whatever its name: from the start, or on from where its run in there has stopped.

    recipe: one that `check_recipe` accepts.

    Raises as `train` and `resume` do, and RecipeError if the run in the folder is one of another recipe.
    """
    own = RunFolder(Path(folder))
    if own.recipe.is_file():
        own.refuse_links_out()
        _check_stored(own, recipe, allow_imports)
    current_job()
    device = device_of(recipe)
    with (
        current(device),
        joined(device) as processes,
        generators_kept(device),
        _no_empty_folders(own.path, processes),
    ):
        if processes.first:
            make_folder(own.path, failure=RunError)
        return _all_runs(recipe, own, Console(quiet or not processes.first), processes)


def _check_stored(stored: RunFolder, wanted: Recipe, allow_imports: bool) -> None:
    """Refuse a recipe with which the run in a folder cannot go on, and Python files that may not run."""
    check_changes(load_recipe(stored.recipe), wanted)
    _allow(wanted, stored, allow_imports)
    for name, twin in twins(wanted).items():
        _allow(twin, RunFolder(stored.path / name), allow_imports)


def _allow(recipe: Recipe, folder: RunFolder, imports: bool) -> None:
    """Import the Python files of a run from where it will take its networks; SourceError if they may not run."""
    if folder.architecture.is_file():
        stored_network(recipe, folder, allow_imports=imports)
    else:
        allow(recipe, imports)
    if recipe.distill is not None:
        allow(recipe.distill, imports)


def _all_runs(recipe: Recipe, folder: RunFolder, console: Console, processes: Processes) -> Result:
    """The run and those it is compared with; each is started, resumed, or only evaluated if it is complete."""
    with alone_in(folder, processes):
        try:
            return _compared_runs(recipe, folder, console, processes)
        except DiskFullError as error:
            if not folder.recipe.is_file():
                raise
            go_on = f"make room and {_go_on(folder)}; what was saved before is unharmed"
            raise DiskFullError(error.problems[0].message, hint=go_on) from None


def _go_on(folder: RunFolder) -> str:
    return f"go on with `spdbuild train --resume {shlex.quote(str(folder.path))}`"


def _compared_runs(recipe: Recipe, folder: RunFolder, console: Console, processes: Processes) -> Result:
    result = _one_run(recipe, folder, console, processes)
    others = tuple(
        _one_run(twin, RunFolder(folder.path / name), console, processes) for name, twin in twins(recipe).items()
    )
    result = replace(result, twins=others)
    if others:
        table = f"{_TABLE}\n\n{comparison_table([result, *others], recipe.task.shown)}"
        if processes.first:
            if not folder.recipe.is_file():
                raise RunError(f"{folder.path} was removed while its twins were trained")
            console.log = folder.log
            save_text(folder.comparison, table + "\n")
            write_page(folder, {name: RunFolder(folder.path / name) for name in twins(recipe)})
        console.line("\n" + table)
    check_metrics(recipe.expect, recipe.task.metrics(), result.metrics)
    return result


def _one_run(recipe: Recipe, folder: RunFolder, console: Console, processes: Processes) -> Result:
    with determinism(recipe.deterministic), freed_memory_kept():
        return _fit(_open_session(recipe, folder, console, processes))


def _open_session(recipe: Recipe, folder: RunFolder, console: Console, processes: Processes) -> Session:
    """The session of a new run, or of the run in `folder` at the point where it stopped."""
    stored = bool(processes.from_first(folder.state.is_file()))
    # Weights and metrics of the first epoch are written before its state; anything later is not.
    if not stored and (len(folder.metrics()) > 1 or folder.report.is_dir()):
        hint = f"start a new run from weights={folder.last}"
        raise RunError(f"{folder.state} is missing, so the run cannot go on", hint=hint)
    if processes.first:
        make_folder(folder.path, failure=RunError)
        remove_unfinished(folder.path)
        console.log = folder.log
    new = processes.first and not any(folder.path.iterdir())
    try:
        with interrupt_on_signals():
            network = stored_network(recipe, folder) if stored else recipe
            text = recipe.resolved()
            session = make_session(network, folder, console, processes, device_of(recipe), text=text, fresh=not stored)
            if not stored:
                _describe(session)
    # Also if somebody interrupts it while data and network are being opened.
    except BaseException:
        if new and not folder.recipe.is_file():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    if stored:
        state = load_state(folder.state)
        # The file may have been edited by hand since.
        check_changes(load_recipe(state.recipe), recipe)
        restore(session, state)
        _require_epochs(recipe, session.position.epoch)
        if processes.first:
            restore_best(folder)
            # Only now: a run that cannot be resumed keeps the recipe that it was stopped with.
            describe(session, resumed=True)
            write_description(session)
        console.line(f"{recipe.title or 'run'}: {_where(session)}")
    return session


def _require_epochs(recipe: Recipe, done: int) -> None:
    """Refuse fewer epochs than a run has had: it cannot be taken back."""
    if recipe.epochs < done:
        message = f"the run has had {done} epochs, and epochs={recipe.epochs} cannot take them back"
        raise RecipeError(message, location=recipe.place("epochs"), hint=f"epochs={done}, or more")


def _where(session: Session) -> str:
    """The point at which a stored run continues, in words."""
    position = session.position
    if position.epoch >= session.recipe.epochs:
        return f"complete after {position.epoch} epochs; epochs=N goes further"
    return f"going on in epoch {position.epoch + 1} at step {position.step + 1}"


def _describe(session: Session) -> None:
    """Write the files that describe the run, and log a summary."""
    recipe, network, folder = session.recipe, session.network, session.folder
    if session.processes.first:
        describe(session, resumed=False)
        write_description(session)
    size = shapes_text([network.input])
    session.console.line(
        f"{recipe.title or 'run'}: {network.parameters:,} parameters, {network.macs:,} MACs at {size}, "
        f"{len(session.data.classes)} classes, {session.device} {session.precision} -> {folder.path}"
    )
    # Networks are resolved for it, and the other processes print nothing.
    for problem in doubts(recipe) if session.processes.first else ():
        session.console.line(str(problem))


def _fit(session: Session) -> Result:
    recipe, folder = session.recipe, session.folder

    def go_on() -> str:
        return _go_on(folder) if folder.state.is_file() else ""

    def smaller() -> str:
        """The hint: half the batch with as many images per step; or to resume from a saved state, if there is room."""
        anew = f"start anew with a smaller batch, such as batch={recipe.batch // 2} accumulate={2 * recipe.accumulate}"
        anew = anew if recipe.batch > 1 and recipe.nominal_batch is None else "start anew with a smaller batch"
        return "; or ".join(filter(None, (f"{anew}, or smaller images", go_on())))

    with lost_workers_told(go_on), full_memory_told(f"the training on a batch of {recipe.batch} images", smaller):
        return _result(session)


def _result(session: Session) -> Result:
    with stop_on_signals() as request:
        loop = Loop(session, request)
        loop.run()
    # Also if the signal came in the last evaluation, after which no step looks for it, or to another process.
    number = int(session.processes.largest(torch.tensor(request.number)))
    if number:
        reason = f"stopped by {Signals(number).name} after step {session.position.step}; the state is saved"
        session.console.note(reason)
        raise StoppedError(reason, signal=number, hint=_go_on(session.folder))
    if loop.reason:
        session.console.line(f"{loop.reason}; the run ends at step {session.position.step}")
    loop.conclude()
    assert loop.evaluation is not None
    position = session.position
    if session.processes.first:
        describe_again(session)
        write_report(session, loop.evaluation)
    speeds = [row["images_per_second"] for row in loop.rows]
    return Result(
        title=session.recipe.title or "run",
        folder=session.folder.path,
        metrics=loop.evaluation.scalars,
        best=position.best,
        best_epoch=position.best_epoch,
        parameters=session.network.parameters,
        macs=session.network.macs,
        images_per_second=median(speeds) if speeds else 0.0,
        seconds=position.seconds,
        reason=loop.reason,
    )


def check_changes(stored: Recipe, wanted: Recipe) -> None:
    """Refuse a recipe that differs from a run's own in keys that a resumed run cannot change; RecipeError."""
    for found in differences(stored, wanted):
        if Role.RESUMED not in found.role:
            message = f"a resumed run stays what it was, so '{found.key}' cannot change"
            hint = f"a resumed run takes {', '.join(keys_with(Role.RESUMED, stored))}; else start a new run"
            raise RecipeError(message, location=found.place, hint=hint)
