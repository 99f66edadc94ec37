"""Evaluation on a data set: every image counts once, whatever the number of processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from spdbuild.errors import RunError
from spdbuild.system.out_of_memory import full_memory_told
from spdbuild.training.precision import autocast
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.processes.lost_workers import lost_workers_told
from spdbuild.training.task import Batches, Evaluation, Meter

#: What to do about a trained network that gives no numbers.
_STORED = "look at its weights, statistics of norms among them, and at precision"


@torch.inference_mode()
def evaluate_model(
    model: nn.Module,
    batches: Batches,
    meter: Meter,
    precision: str,
    device: torch.device,
    processes: Processes,
    *,
    hint: str = _STORED,
    awaited: Callable[[Batches], Iterable[Any]] = iter,
) -> Evaluation:
    """The metrics of the first process's `model`, left in eval mode, over all batches of all processes.

    hint: what to do about a metric that is not finite. awaited: gives the batches one by one, and may raise instead.
    The first process computes them; the others get the result without its files and without what it says of each image.
    Raises RunError if a metric is not finite, if a data-loading process is killed, or if memory runs out.
    """
    model.eval()
    processes.share_buffers(model)
    batches.set_epoch(0)
    with lost_workers_told(), full_memory_told("the evaluation of a batch", lambda: "a smaller test_batch"):
        for images, targets in awaited(batches):
            if len(images):
                with autocast(precision, device):
                    outputs = model(images)
                meter.update(outputs, targets)
    states = processes.to_first(meter.state())
    if not processes.first:
        return _finite(processes.from_first(None), hint)
    meter.merge(states)
    evaluation = meter.evaluation()
    processes.from_first(replace(evaluation, files={}, by_image=None, images=(), probabilities=None))
    return _finite(evaluation, hint)


def _finite(evaluation: Evaluation, hint: str) -> Evaluation:
    for name, value in evaluation.scalars.items():
        if not math.isfinite(value):
            message = f"the {name} of the evaluation is not finite: the network gives some images no numbers"
            raise RunError(message, hint=hint)
    return evaluation
