"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from spdbuild.console import Bar
from spdbuild.errors import RunError
from spdbuild.training.checkpoint import save_state
from spdbuild.training.description import describe_again
from spdbuild.training.evaluating import evaluate_model
from spdbuild.training.events import Events
from spdbuild.training.freezing import train_mode
from spdbuild.training.nan_guard import NanGuard, can_skip, first_bad_layer
from spdbuild.training.precision import autocast, check_scale
from spdbuild.training.progress import describe_position, describe_row
from spdbuild.training.run_folder import Row
from spdbuild.training.saving import keep_best, save_best, save_last
from spdbuild.training.session import Session
from spdbuild.training.signals import StopRequest
from spdbuild.training.task import Evaluation

Batch = tuple[Tensor, Any]

#: Why a run ended that somebody asked to stop.
STOPPED = "stopped by a signal"


class Loop:
    """Trains a session until its recipe is fulfilled or something stops it.

    reason: why the run ended before its last epoch, or empty.
    evaluation: of the model as the run leaves it, if it was made.
    rows: the metrics of every epoch, with those of one that was cut off.
    """

    def __init__(self, session: Session, request: StopRequest) -> None:
        self.session, self.request = session, request
        self.reason = ""
        self.evaluation: Evaluation | None = None
        skips = can_skip(session.optimizer, session.device, session.scaler)
        self.guard = NanGuard(session.optimizer, session.device, interval=20 if skips else 1)
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
            self._epoch()
            if self.reason:
                self._leave()
                return
            self._finish_epoch()

    def conclude(self) -> None:
        """Evaluate the model that the run leaves, unless that was done, and say and write its metrics.

        Their row is not in the state: a run that was cut off can go on as if it had not been.
        """
        if self.evaluation is not None:
            return
        session, position = self.session, self.session.position
        begun = position.batch > 0 or not position.rows
        row = self._row(position.epoch + (position.batch > 0)) if begun else position.rows[-1]
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
        """Note when and where the training of an epoch begins here."""
        self._started, self._first = time.monotonic(), self.session.position.batch

    def _epoch(self) -> None:
        """Train from where the session is to the end of its epoch, or to where something stops it."""
        session, position = self.session, self.session.position
        self.reason = self._stopped()
        if self.reason:
            return
        self._start_epoch()
        self.evaluation = None
        train_mode(session.model)
        session.train_batches.set_epoch(position.epoch, position.batch)
        title = f"epoch {position.epoch + 1}/{session.recipe.epochs}"
        starts = self._starts()
        with session.console.bar(title, len(starts) - 1, starts.index(position.batch)) as bar:
            for group in self._groups():
                self.step(group)
                position.batch += len(group)
                position.step += 1
                self._show(bar)
                self.reason = self._stopped()
                if self.reason:
                    return
                if session.recipe.save_every and position.step % session.recipe.save_every == 0:
                    self._save_state()
        self._raise_if_bad(position.step, always=True)
        check_scale(session.scaler)

    def _groups(self) -> Iterator[list[Batch]]:
        """The batches of each step that is left of the epoch."""
        session = self.session
        yield from session.accumulation.steps(session.train_batches, session.first_batch + session.position.batch)

    def _starts(self) -> list[int]:
        """Where the steps of the epoch begin, and its end, in batches."""
        return self.session.accumulation.starts(len(self.session.train_batches), self.session.first_batch)

    def step(self, group: list[Batch]) -> None:
        """One update of the weights from a few batches."""
        session = self.session
        rates = session.recipe.schedule.rates(
            session.first_batch + session.position.batch + len(group) - 1,
            len(session.train_batches),
            session.recipe.epochs,
            session.recipe.optimizer.lr,
            session.momentum,
            begin=session.first_batch + session.position.batch,
        )
        rates.apply(session.optimizer)
        # A sum over images needs no number of them, and so no word from the other processes.
        total = 1.0 if session.task.summed else self._images(group)
        for index, (images, targets) in enumerate(group):
            self._accumulate(images, targets, total, last=index == len(group) - 1)
        self._clip()
        self._raise_if_bad(session.position.step + 1, group)
        session.scaler.step(session.optimizer)
        session.scaler.update()
        session.optimizer.zero_grad(set_to_none=True)
        if session.ema:
            session.ema.update(session.model)

    def _clip(self) -> None:
        """Shorten the gradient as the recipe says, and see whether it is finite."""
        clip, model, scaler = self.session.recipe.clip, self.session.model, self.session.scaler
        if clip is not None:
            scaler.unscale_(self.session.optimizer)
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
        elif not scaler.is_enabled():
            norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        # A scaler itself skips updates that are not finite, and looks for a factor that makes them finite.
        if not scaler.is_enabled():
            self.guard.note(norm)

    def _accumulate(self, images: Tensor, targets: Any, total: Tensor | float, last: bool) -> None:
        """Add the gradient of one batch, its sum over images divided by `total`; the processes' meet at the last."""
        session = self.session
        # The processes' gradients are averaged, and what is wanted is their sum.
        share = len(images) * session.processes.world / total
        with nullcontext() if last or session.parallel is None else session.parallel.no_sync():
            losses = self._losses(images, targets)
            loss = losses["loss"] * share
            torch.autograd.backward(session.scaler.scale(loss))
        self.guard.note(loss)
        self._count(losses, len(images))

    def _losses(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        session = self.session
        with autocast(session.precision, session.device):
            outputs = session.trained(images)
            losses: dict[str, Tensor] = session.criterion(outputs, targets)
            if session.teacher is not None and session.recipe.distill is not None:
                with torch.no_grad():
                    taught = session.teacher(images)
                options = session.recipe.distill
                distance = session.task.distance(outputs, taught, options.temperature)
                mixed = torch.lerp(losses["loss"].float(), distance.float(), options.share)
                losses = {**losses, "loss": mixed, "distance": distance}
        return losses

    def _images(self, group: list[Batch]) -> Tensor | float:
        """How many images a step has over all processes."""
        own, processes = sum(len(images) for images, _ in group), self.session.processes
        return processes.sum(torch.tensor(float(own), device=self.session.device)) if processes.several else own

    def _count(self, losses: dict[str, Tensor], images: int) -> None:
        """Add up what the epoch's row will show, without waiting for the device."""
        position = self.session.position
        wide = torch.float32 if self.session.device.type == "mps" else torch.float64
        for name, value in losses.items():
            term = value.detach().to(wide) * images
            position.sums[name] = position.sums[name] + term if name in position.sums else term
        position.images += images

    def _raise_if_bad(self, step: int, group: list[Batch] | None = None, *, always: bool = False) -> None:
        """Stop with step and layer if a loss was not finite; `always` also asks a device that is not waited for."""
        session = self.session
        found = self.guard.found(step, session.processes.largest)
        if not found and not (always and self.guard.first_step >= 0):
            return
        first = self.guard.first_step
        batches = group if group and first == step else self._again(first)
        train_mode(session.model)
        with autocast(session.precision, session.device):
            layer = first_bad_layer(session.model, lambda: [session.model(images) for images, _ in batches])
        what = f"the loss of step {first} is not finite: the first layer with a result that is not finite is '{layer}'"
        if not layer:
            what = f"the loss of step {first} or its gradient is not finite, though what every layer gives is"
        saved = session.folder.state.is_file()
        kept = f"; the state of the last good checkpoint is in {session.folder.state}" if saved else ""
        further = "or set clip" if session.precision == "fp32" else "set clip, or set precision=fp32"
        raise RunError(what + kept, hint=f"lower optimizer.lr, {further}")

    def _again(self, step: int) -> list[Batch]:
        """The batches of an earlier step of this epoch, counted from 1 in the run."""
        session, position, starts = self.session, self.session.position, self._starts()
        index = starts.index(position.batch) - (position.step - (step - 1))
        session.train_batches.set_epoch(position.epoch, starts[index])
        return list(islice(session.train_batches, starts[index + 1] - starts[index]))

    def _stopped(self) -> str:
        """Why the run should end now, the same on every process; empty if it should go on."""
        recipe, position = self.session.recipe, self.session.position
        minutes = self._seconds() / 60
        reasons = {
            f"max_minutes={recipe.max_minutes} are over": minutes >= (recipe.max_minutes or math.inf),
            f"max_steps={recipe.max_steps} is reached": position.step >= (recipe.max_steps or math.inf),
            STOPPED: bool(self.request),
        }
        # Of the processes alone, so that the device is not waited for.
        heard = self.session.processes.largest(torch.tensor([float(holds) for holds in reasons.values()]))
        return next((reason for reason, holds in zip(reasons, heard.tolist(), strict=True) if holds), "")

    def _finish_epoch(self) -> None:
        session, position, recipe = self.session, self.session.position, self.session.recipe
        row = self._row(position.epoch + 1)
        position.epoch += 1
        position.batch, position.sums, position.images = 0, {}, 0
        due = position.epoch % recipe.evaluate_every == 0 or position.epoch == recipe.epochs
        if due:
            row |= self.evaluate()
        position.rows.append(row)
        self._tick()
        if self.events:
            self.events.add(row)
            session.folder.write_metrics(position.rows)
            save_last(session)
        self._save_state()
        session.console.line(describe_row(row, recipe.epochs, session.task.shown))

    def _out_of_patience(self) -> str:
        """Why the run should end between two epochs; empty if it should go on."""
        position, patience = self.session.position, self.session.recipe.patience
        waited = position.epoch - position.best_epoch
        evaluated = position.epoch % self.session.recipe.evaluate_every == 0
        if patience is None or not position.best_epoch or waited < patience or not evaluated:
            return ""
        return f"no better {self.session.task.monitor} in {patience} epochs"

    def _leave(self) -> None:
        """Save where the epoch is."""
        session = self.session
        self._tick()
        self._save_state()
        if session.processes.first:
            save_last(session)

    def evaluate(self) -> dict[str, float]:
        """Metrics of the model as it is, under the names of the row; the best one's weights are saved."""
        session, position = self.session, self.session.position
        meter = session.task.meter(session.recipe, session.evaluated, session.test_images, session.device)
        self.evaluation = evaluate_model(
            session.evaluated, session.test_batches, meter, session.precision, session.device, session.processes
        )
        monitor = session.task.monitor
        score = self.evaluation.scalars.get(monitor)
        if score is None:
            hint = "name another metric with task.monitor=, and start anew"
            raise RunError(f"the data has nothing to measure {monitor} with, which says the best epoch", hint=hint)
        if session.task.metrics()[monitor].beats(score, position.best if position.best_epoch else None):
            position.best, position.best_epoch = score, position.epoch + (position.batch > 0)
            if session.processes.first:
                save_best(session)
        return {f"test/{name}": value for name, value in self.evaluation.scalars.items()}

    def _row(self, epoch: int) -> Row:
        """What is known of the epoch up to here, which is the given one; its time as stored if nothing was trained."""
        session, position = self.session, self.session.position
        seconds = time.monotonic() - self._started
        totals = torch.stack([torch.tensor(float(position.images), device=session.device), *position.sums.values()])
        images, *sums = session.processes.sum(totals).tolist()
        row = {
            "epoch": epoch,
            "step": position.step,
            "lr": session.optimizer.param_groups[0]["lr"],
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
        """Images of all processes that were trained on here, of the `images` that the epoch has seen."""
        return min((self.session.position.batch - self._first) * self.session.recipe.batch, images)

    def _show(self, bar: Bar) -> None:
        if not bar.due:
            bar.advance(1)
            return
        seconds = time.monotonic() - self._started
        speed = self._done(self.session.position.images * self.session.processes.world) / max(seconds, 1e-9)
        bar.advance(1, describe_position(self.session, speed, self._seconds()))

    def _save_state(self) -> None:
        """Keep all that a resume needs, unless a loss that nobody looked at yet was not finite."""
        self._raise_if_bad(self.session.position.step, always=True)
        self._tick()
        state = self.session.state()
        if self.session.processes.first:
            describe_again(self.session)
            save_state(self.session.folder.state, state)

    def _seconds(self) -> float:
        """Training time of the run so far."""
        return self.session.position.seconds + time.monotonic() - self._clock

    def _tick(self) -> None:
        """Add the time since the last call to the run's."""
        now = time.monotonic()
        self.session.position.seconds += now - self._clock
        self._clock = now
