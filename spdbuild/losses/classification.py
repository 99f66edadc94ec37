"""Losses of classifiers: from logits and labels, which may be mixtures of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError, nearest
from spdbuild.losses.loss import LOSSES, Loss


@dataclass(frozen=True)
class ClassificationLoss(Loss):
    """Base: a loss of logits [N, K] and labels, classes [N] or shares of classes [N, K'] with K' <= K.

    label_smoothing: share of the target that is spread evenly over all classes.
    """

    task: ClassVar[str] = "classification"

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        require_range(self, "label_smoothing", least=0, below=1)

    def weights(self, labels: Tensor, classes: Sequence[str]) -> Tensor | None:
        """float32 [K'], a factor for each class, given the classes [N] of all training images; None: all are equal.

        Raises ArgumentError.
        """
        return None

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The mean over the batch."""
        raise NotImplementedError


@LOSSES.register
@dataclass(frozen=True)
class CrossEntropy(ClassificationLoss):
    """Softmax and cross-entropy.

    class_weights: the weights of images by the name of their class, such as {crack: 5}, with 1 for the others;
        balanced: each class has the same total weight; empty: all images have the same weight.
    """

    class_weights: Literal["balanced"] | dict[str, float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, weight in self.class_weights.items() if isinstance(self.class_weights, dict) else ():
            if not 0 < weight < math.inf:
                message = f"the weight of '{name}' must be more than 0 and finite, got {weight}"
                raise ArgumentError(message, argument="class_weights")

    def weights(self, labels: Tensor, classes: Sequence[str]) -> Tensor | None:
        if self.class_weights is None:
            return None
        if self.class_weights == "balanced":
            counts = torch.bincount(labels, minlength=len(classes)).clamp(min=1)
            return len(labels) / len(classes) / counts.float()
        assert isinstance(self.class_weights, dict)
        for name in self.class_weights:
            if name not in classes:
                message = f"there is no class '{name}'"
                raise ArgumentError(message, argument="class_weights", hint=nearest(name, classes))
        return torch.tensor([self.class_weights.get(name, 1.0) for name in classes])

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        if weights is not None:
            return self._weighted(logits.float(), labels, weights)
        if labels.is_floating_point():
            labels = _widened(labels, logits)
        return functional.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)

    def _weighted(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        """Each image's loss times the weight of its class, smoothing included; for a mixture, part by part.

        torch weights the smoothing term by the classes that it goes to, so that rare ones would draw all answers; and
        it divides by the weights of a batch, so that an image would count differently in another batch.
        """
        if not labels.is_floating_point():
            labels = functional.one_hot(labels, len(weights))
        shares = _widened(labels * weights, logits)  # [N, K]
        spread = shares.sum(dim=1, keepdim=True) / logits.shape[1]
        targets = shares * (1 - self.label_smoothing) + spread * self.label_smoothing
        return -(targets * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()


@LOSSES.register
@dataclass(frozen=True)
class BinaryCrossEntropy(ClassificationLoss):
    """A sigmoid and binary cross-entropy for each class, as if an image could show several; mean over N and K.

    Source: Wightman, Touvron and Jegou 2021, "ResNet strikes back", arXiv:2110.00476, section 3.
    """

    def __call__(self, logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        if not labels.is_floating_point():
            labels = functional.one_hot(labels, logits.shape[1])
        shares = _widened(labels.to(torch.float32), logits)  # [N, K]
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
        return functional.binary_cross_entropy_with_logits(logits.float(), shares)


def distillation(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Divergence of the softened outputs from those of the teacher, times temperature**2; mean over the batch.

    Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531, section 2.
    """
    student = functional.log_softmax(logits.float() / temperature, dim=1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def _widened(shares: Tensor, logits: Tensor) -> Tensor:
    """Shares of classes, with zeros for outputs that belong to no class of the data."""
    return functional.pad(shares.float(), (0, logits.shape[1] - shares.shape[1]))
