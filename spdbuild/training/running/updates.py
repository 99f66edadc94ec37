"""Updates of the weights, each from the batches of a step, and the check for losses that are not finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from spdbuild.errors import RunError
from spdbuild.training.freezing import train_mode
from spdbuild.training.precision import autocast
from spdbuild.training.running.nan_guard import NanGuard, can_skip, first_bad_layer
from spdbuild.training.running.session import Session

Batch = tuple[Tensor, Any]


class Updates:
    """Performs the steps of a session; what the epoch's row will show is summed up in its position."""

    def __init__(self, session: Session) -> None:
        self.session = session
        learner, device = session.learner, session.device
        skips = can_skip(learner.optimizer, device, learner.scaler)
        self._guard = NanGuard(learner.optimizer, device, interval=20 if skips else 1)

    def groups(self) -> Iterator[list[Batch]]:
        """The batches of each remaining step of the epoch."""
        session = self.session
        yield from session.accumulation.steps(session.data.train_batches, session.first_batch + session.position.batch)

    def starts(self) -> list[int]:
        """The batches at which the steps of the epoch begin, and the end of the epoch."""
        return self.session.accumulation.starts(len(self.session.data.train_batches), self.session.first_batch)

    def step(self, group: list[Batch]) -> None:
        """Update the weights once from the batches of a step; RunError before an update from a non-finite loss."""
        session, learner = self.session, self.session.learner
        first = session.first_batch + session.position.batch
        rates = session.recipe.schedule.rates(
            first + len(group) - 1,
            len(session.data.train_batches),
            session.recipe.epochs,
            session.recipe.optimizer.lr,
            learner.momentum,
            begin=first,
        )
        rates.apply(learner.optimizer)
        # A sum over images does not need their number, and so no exchange with the other processes.
        total = 1.0 if session.task.summed else self._images(group)
        for index, (images, targets) in enumerate(group):
            self._accumulate(images, targets, total, last=index == len(group) - 1)
        self._clip()
        self.raise_if_bad(session.position.step + 1, group)
        learner.scaler.step(learner.optimizer)
        learner.scaler.update()
        learner.optimizer.zero_grad(set_to_none=True)
        if learner.ema:
            learner.ema.update(learner.model)

    def raise_if_bad(self, step: int, group: list[Batch] | None = None, *, always: bool = False) -> None:
        """RunError with step and layer if a loss was not finite; `always` also waits for the device to find out."""
        session = self.session
        found = self._guard.found(step, session.processes.largest)
        if not found and not (always and self._guard.first_step >= 0):
            return
        first = self._guard.first_step
        batches = group if group and first == step else self._batches_of(first)
        model = session.learner.model
        train_mode(model, session.recipe.freeze)
        with autocast(session.precision, session.device):
            layer = first_bad_layer(model, lambda: [model(images) for images, _ in batches])
        what = f"the loss of step {first} is not finite: the first layer with a result that is not finite is '{layer}'"
        if not layer:
            what = f"the loss of step {first} or its gradient is not finite, though what every layer gives is"
        saved = session.folder.state.is_file()
        kept = f"; the state of the last good checkpoint is in {session.folder.state}" if saved else ""
        raise RunError(what + kept, hint=session.steadier)

    def _clip(self) -> None:
        """Clip the gradient as the recipe says, and note whether it is finite."""
        clip, learner = self.session.recipe.clip, self.session.learner
        if clip is not None:
            learner.scaler.unscale_(learner.optimizer)
            norm = nn.utils.clip_grad_norm_(learner.model.parameters(), clip)
        elif not learner.scaler.is_enabled():
            norm = nn.utils.get_total_norm([p.grad for p in learner.model.parameters() if p.grad is not None])
        # A scaler by itself skips updates that are not finite, and looks for a factor that makes them finite.
        if not learner.scaler.is_enabled():
            self._guard.note(norm)

    def _accumulate(self, images: Tensor, targets: Any, total: Tensor | float, last: bool) -> None:
        """Add the gradient of one batch, its sum over images divided by `total`; processes exchange it at the last."""
        learner = self.session.learner
        # The processes' gradients are averaged, but their sum is wanted.
        share = len(images) * self.session.processes.world / total
        with nullcontext() if last or learner.parallel is None else learner.parallel.no_sync():
            losses = self._losses(images, targets)
            loss = losses["loss"] * share
            torch.autograd.backward(learner.scaler.scale(loss))
        self._guard.note(loss)
        self._count(losses, len(images))

    def _losses(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        session, learner = self.session, self.session.learner
        with autocast(session.precision, session.device):
            outputs = learner.trained(images)
            losses: dict[str, Tensor] = learner.criterion(outputs, targets)
            if learner.teacher is not None and session.recipe.distill is not None:
                with torch.no_grad():
                    taught = learner.teacher(images)
                options = session.recipe.distill
                distance = session.task.distance(outputs, taught, options.temperature)
                mixed = torch.lerp(losses["loss"].float(), distance.float(), options.share)
                losses = {**losses, "loss": mixed, "distance": distance}
        return losses

    def _images(self, group: list[Batch]) -> Tensor | float:
        """The number of images of a step over all processes."""
        own, processes = sum(len(images) for images, _ in group), self.session.processes
        return processes.sum(torch.tensor(float(own), device=self.session.device)) if processes.several else own

    def _count(self, losses: dict[str, Tensor], images: int) -> None:
        """Sum up what the epoch's row will show, without waiting for the device."""
        position = self.session.position
        wide = torch.float32 if self.session.device.type == "mps" else torch.float64
        for name, value in losses.items():
            term = value.detach().to(wide) * images
            position.sums[name] = position.sums[name] + term if name in position.sums else term
        position.images += images

    def _batches_of(self, step: int) -> list[Batch]:
        """The batches of an earlier step of this epoch; steps are counted from 1 in the run."""
        session, position, starts = self.session, self.session.position, self.starts()
        index = starts.index(position.batch) - (position.step - (step - 1))
        session.data.train_batches.set_epoch(position.epoch, starts[index])
        return list(islice(session.data.train_batches, starts[index + 1] - starts[index]))
