"""Logits of a classifier -> the probabilities of all classes, kept for every image of an evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.data import ImageSet
from spdbuild.data.loading.batching import positions_of
from spdbuild.metrics.probabilities import Probabilities
from spdbuild.system.memory import require_memory
from spdbuild.training.task import Evaluation, Meter
from spdbuild.wording.phrases import number


def probabilities_of(logits: Tensor, classes: int) -> NDArray[np.float32]:
    """float32 [N, K] on the CPU, the softmax of logits [N, outputs] for the first outputs, those of K classes.

    It is computed in double precision: a row of all outputs adds to 1 within 1e-6, however many there are.
    """
    # Not every device has double precision.
    probabilities: NDArray[np.float32] = logits.cpu().double().softmax(dim=1)[:, :classes].float().numpy()
    return probabilities


class ProbabilitiesMeter:
    """A classifier's meter whose evaluation has the probabilities of every image, too.

    batch: images of a batch over all processes, which take turns. Raises DataError if memory does not hold float32
    [images, classes]; the first of several processes needs more, for it gathers what the others have.
    """

    def __init__(self, meter: Meter, images: ImageSet, batch: int) -> None:
        self._meter, self._images, self._batch = meter, images, batch
        shape = len(images), len(images.classes)
        what = f"the probabilities of {number(shape[0], 'image')} for {shape[1]:,} classes"
        require_memory(4 * shape[0] * shape[1], what, hint="evaluate without probabilities, or fewer images")
        # Filled from the start by what this process sees; the system gives memory only to what is filled.
        self._values, self._seen = np.empty(shape, np.float32), 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        self._meter.update(logits, labels)
        end = self._seen + len(logits)
        self._values[self._seen : end] = probabilities_of(logits, len(self._images.classes))
        self._seen = end

    def state(self) -> dict[str, Any]:
        return {"meter": self._meter.state(), "probabilities": self._values[: self._seen]}

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        states = list(states)
        self._meter.merge([state["meter"] for state in states])
        self._seen = len(self._images)
        if len(states) == 1:
            # Its images are those of the data set, in that order.
            return
        self._values = np.empty_like(self._values)
        for rank, state in enumerate(states):
            self._values[positions_of(self._seen, self._batch, rank, len(states))] = state["probabilities"]

    def evaluation(self) -> Evaluation:
        images = self._images
        names = tuple(map(images.name, range(len(images))))
        found = Probabilities(self._values, images.classes, names, images.labels.numpy())
        return replace(self._meter.evaluation(), probabilities=found)
