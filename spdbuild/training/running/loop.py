"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch import Tensor

from spdbuild.console import Bar
from spdbuild.errors import DiskFullError, RunError
from spdbuild.training.checkpoint import save_state
from spdbuild.training.evaluation_loop import evaluate_model
from spdbuild.training.folder.events import Events
from spdbuild.training.folder.run_folder import Row
from spdbuild.training.freezing import train_mode
from spdbuild.training.precision import check_scale
from spdbuild.training.running.description import describe_again
from spdbuild.training.running.progress import describe_position, describe_row
from spdbuild.training.running.saving import keep_best, save_evaluated
from spdbuild.training.running.session import Session
from spdbuild.training.running.signals import StoppedWaiting, StopRequest
from spdbuild.training.running.state import state_of
from spdbuild.training.running.updates import Updates
from spdbuild.training.schedules.schedule import lr_of
from spdbuild.training.task import Evaluation

T = TypeVar("T")

Batch = tuple[Tensor, Any]

#: Why a run ended that received a signal.
STOPPED = "stopped by a signal"


class Loop:
    """Trains a session until its recipe is fulfilled or something stops it.

    reason: why the run ended before its last epoch, or empty.
    evaluation: of the model as the run leaves it, once it has been made.
    rows: the metrics of every epoch, including one that was cut off.
    """

    def __init__(self, session: Session, request: StopRequest) -> None:
        self.session, self.request = session, request
        self.reason = ""
        self.evaluation: Evaluation | None = None
        self.updates = Updates(session)
        self.events = Events(session.folder.path, session.position.epoch) if session.processes.first else None
        self._clock = time.monotonic()
        self.rows = session.position.rows
        self._start_epoch()

    def run(self) -> None:
        """Train, evaluate and save, epoch after epoch."""
        session = self.session
        while session.position.epoch < session.recipe.epochs:
            self.reason = self._out_of_patience()
            if self.reason:
                return
            try:
                self._epoch()
                if not self.reason:
                    self._finish_epoch()
            except StoppedWaiting:
                self.reason = STOPPED
            if self.reason:
                self._save_unfinished()
                return

    def conclude(self) -> None:
        """Evaluate the model that the run leaves, unless that was done, then log and write its metrics.

        Their row is not in the state, so a run that was cut off can be resumed as if it had not been.
        """
        if self.evaluation is not None:
            return
        session, position = self.session, self.session.position
        begun = position.batch > 0 or not position.rows
        row = self._row(position.begun) if begun else position.rows[-1]
        if self.reason and session.processes.first:
            keep_best(session.folder)
        row = {**row, **self.evaluate()}
        self.rows = [*(position.rows if begun else position.rows[:-1]), row]
        if session.processes.first:
            session.folder.write_metrics(self.rows)
        if self.events and begun:
            self.events.add(row)
        session.console.line(describe_row(row, session.recipe.epochs, session.task.shown))

    def _start_epoch(self) -> None:
        """Record when, and at which batch, this process begins to train an epoch."""
        self._started, self._first = time.monotonic(), self.session.position.batch

    def _epoch(self) -> None:
        """Train from the current position to the end of the epoch, or until something stops the run."""
        session, position = self.session, self.session.position
        self.reason = self._stopped()
        if self.reason:
            return
        self._start_epoch()
        self.evaluation = None
        train_mode(session.learner.model, session.recipe.freeze)
        session.data.train_batches.set_epoch(position.epoch, position.batch)
        title = f"epoch {position.epoch + 1}/{session.recipe.epochs}"
        starts = self.updates.starts()
        with session.console.bar(title, len(starts) - 1, starts.index(position.batch)) as bar:
            for group in self._awaited(self.updates.groups()):
                self.updates.step(group)
                position.batch += len(group)
                position.step += 1
                self._show(bar)
                self.reason = self._stopped()
                if self.reason:
                    return
                if session.recipe.save_every and position.step % session.recipe.save_every == 0:
                    self._save_state()
        self.updates.raise_if_bad(position.step, always=True)
        check_scale(session.learner.scaler)

    def _stopped(self) -> str:
        """Why the run should end now, the same on every process; empty if it should go on."""
        recipe, position = self.session.recipe, self.session.position
        minutes = self._seconds() / 60
        reasons = {
            f"max_minutes={recipe.max_minutes} are over": minutes >= (recipe.max_minutes or math.inf),
            f"max_steps={recipe.max_steps} is reached": position.step >= (recipe.max_steps or math.inf),
            STOPPED: bool(self.request),
        }
        # A tensor on the CPU, so that this does not wait for the device.
        heard = self.session.processes.largest(torch.tensor([float(holds) for holds in reasons.values()]))
        return next((reason for reason, holds in zip(reasons, heard.tolist(), strict=True) if holds), "")

    def _awaited(self, items: Iterable[T]) -> Iterator[T]:
        """The items, until a signal stops the run; among several processes only all of them can stop, after a step."""
        return iter(items) if self.session.processes.several else self.request.awaited(items)

    def _finish_epoch(self) -> None:
        session, position, recipe = self.session, self.session.position, self.session.recipe
        done = position.epoch + 1
        row = self._row(done)
        if done % recipe.evaluate_every == 0 or done == recipe.epochs:
            row |= self._evaluate_or_save(row)
        position.epoch = done
        position.batch, position.sums, position.images = 0, {}, 0
        position.rows.append(row)
        self._tick()
        if self.events:
            self.events.add(row)
            session.folder.write_metrics(position.rows)
            save_evaluated(session, session.folder.last)
        self._save_state()
        session.console.line(describe_row(row, recipe.epochs, session.task.shown))

    def _evaluate_or_save(self, row: Row) -> dict[str, float]:
        """`evaluate`; if that fails, for a file or for want of memory, the epoch that was trained is not lost.

        row: of the epoch so far, with its speed, which a resumed run cannot measure any more.
        """
        try:
            return self.evaluate()
        except StoppedWaiting:
            self.session.folder.write_metrics([*self.session.position.rows, row])
            raise
        except Exception:
            # The other processes of a run wait for this one's results and would not take part in saving.
            if not self.session.processes.several:
                # On a full disk saving fails, too; the first error says which file had no room.
                with suppress(DiskFullError):
                    self._save_unfinished()
                    self.session.folder.write_metrics([*self.session.position.rows, row])
            raise

    def _out_of_patience(self) -> str:
        """Why the run should end between two epochs; empty if it should go on."""
        position, patience = self.session.position, self.session.recipe.patience
        waited = position.epoch - position.best_epoch
        evaluated = position.epoch % self.session.recipe.evaluate_every == 0
        if patience is None or not position.best_epoch or waited < patience or not evaluated:
            return ""
        return f"no better {self.session.task.monitor} in {patience} epochs"

    def _save_unfinished(self) -> None:
        """Save the state and the weights within an epoch."""
        session = self.session
        self._tick()
        self._save_state()
        if session.processes.first:
            save_evaluated(session, session.folder.last)

    def evaluate(self) -> dict[str, float]:
        """Metrics of the current model, under the names of a row; its weights are saved if it is the best so far."""
        session, position = self.session, self.session.position
        model, data, device = session.learner.evaluated, session.data, session.device
        meter = session.task.meter(session.recipe, model, data.test_images, device)
        self.evaluation = evaluate_model(
            session.task.in_use(model),
            data.test_batches,
            meter,
            session.precision,
            device,
            session.processes,
            hint=session.steadier,
            awaited=self._awaited,
        )
        monitor = session.task.monitor
        score = self.evaluation.scalars.get(monitor)
        if score is None:
            hint = "name another metric with task.monitor=, and start anew"
            raise RunError(f"the data has nothing to measure {monitor} with, which says the best epoch", hint=hint)
        if session.task.metrics()[monitor].beats(score, position.best if position.best_epoch else None):
            if session.processes.first:
                save_evaluated(session, session.folder.best)
            # Only now: a state that is saved after a failure must not tell of weights that are not there.
            position.best, position.best_epoch = score, position.begun
        return {f"test/{name}": value for name, value in self.evaluation.scalars.items()}

    def _row(self, epoch: int) -> Row:
        """The row of epoch `epoch` so far; with its stored time if nothing was trained here."""
        session, position = self.session, self.session.position
        seconds = time.monotonic() - self._started
        totals = torch.stack([torch.tensor(float(position.images), device=session.device), *position.sums.values()])
        images, *sums = session.processes.sum(totals).tolist()
        row = {
            "epoch": epoch,
            "step": position.step,
            "lr": lr_of(session.learner.optimizer),
            **{f"train/{name}": total / images for name, total in zip(position.sums, sums, strict=True)},
            "seconds": round(seconds, 3),
            "images_per_second": round(self._done(images) / max(seconds, 1e-9), 1),
        }
        if position.batch != self._first:
            return row
        stored = [old for old in session.folder.metrics() if (old["epoch"], old.get("step")) == (epoch, position.step)]
        timing = ("seconds", "images_per_second")
        return {**row, **{name: old[name] for old in stored for name in timing if name in old}}

    def _done(self, images: float) -> float:
        """How many of the `images` that the epoch has seen were trained on since `_start_epoch`, over all processes."""
        return min((self.session.position.batch - self._first) * self.session.recipe.batch, images)

    def _show(self, bar: Bar) -> None:
        if not bar.due:
            bar.advance(1)
            return
        seconds = time.monotonic() - self._started
        speed = self._done(self.session.position.images * self.session.processes.world) / max(seconds, 1e-9)
        bar.advance(1, describe_position(self.session, speed, self._seconds()))

    def _save_state(self) -> None:
        """Save all that a resume needs, unless a loss that has not been looked at yet was not finite."""
        self.updates.raise_if_bad(self.session.position.step, always=True)
        self._tick()
        state = state_of(self.session)
        if self.session.processes.first:
            describe_again(self.session)
            save_state(self.session.folder.state, state)

    def _seconds(self) -> float:
        """Training time of the run so far."""
        return self.session.position.seconds + time.monotonic() - self._clock

    def _tick(self) -> None:
        """Add the time since the last call to the run's training time."""
        now = time.monotonic()
        self.session.position.seconds += now - self._clock
        self._clock = now
