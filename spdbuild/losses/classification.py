"""Losses of classifiers: from logits and labels, which may be mixtures of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from spdbuild.errors import ArgumentError
from spdbuild.losses.loss import LOSSES, Loss


@dataclass(frozen=True)
class ClassificationLoss(Loss):
    """Base: a loss of logits [N, K] and labels, classes [N] or shares of classes [N, K'] with K' <= K.

    label_smoothing: share of the target that is spread evenly over all classes.
    """

    task: ClassVar[str] = "classification"

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ArgumentError(
                f"label_smoothing must be at least 0 and less than 1, got {self.label_smoothing}",
                argument="label_smoothing",
            )

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the batch."""
        raise NotImplementedError


@LOSSES.register
@dataclass(frozen=True)
class CrossEntropy(ClassificationLoss):
    """Softmax and cross-entropy."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        if labels.is_floating_point():
            labels = _widened(labels, logits)
        return functional.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)


@LOSSES.register
@dataclass(frozen=True)
class BinaryCrossEntropy(ClassificationLoss):
    """A sigmoid and binary cross-entropy for each class, as if an image could show several; mean over N and K.

    Source: Wightman, Touvron and Jegou 2021, "ResNet strikes back", arXiv:2110.00476, section 3.
    """

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
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
    """Shares of classes with zeros for outputs that no class of the data has."""
    return functional.pad(shares.float(), (0, logits.shape[1] - shares.shape[1]))
