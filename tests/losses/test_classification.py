"""Losses of classifiers, beside sums written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spdbuild.errors import ArgumentError
from spdbuild.losses.classification import BinaryCrossEntropy, CrossEntropy, distillation

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
LABELS = torch.tensor([0, 2])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def test_cross_entropy_is_the_mean_surprise() -> None:
    shares = log_softmax(LOGITS.double().numpy())
    expected = -(shares[0, 0] + shares[1, 2]) / 2
    assert CrossEntropy()(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_smoothing_spreads_a_share_over_all_classes() -> None:
    targets = np.full((2, 3), 0.3 / 3)
    targets[0, 0] += 0.7
    targets[1, 2] += 0.7
    expected = -(targets * log_softmax(LOGITS.double().numpy())).sum(axis=1).mean()
    assert CrossEntropy(label_smoothing=0.3)(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy(), CrossEntropy(label_smoothing=0.1)])
def test_shares_of_one_class_are_that_class(loss: CrossEntropy) -> None:
    shares = torch.nn.functional.one_hot(LABELS, 3).float()
    torch.testing.assert_close(loss(LOGITS, shares), loss(LOGITS, LABELS))


@pytest.mark.parametrize("loss", [CrossEntropy(), BinaryCrossEntropy()])
def test_a_network_may_have_more_outputs_than_the_data_has_classes(loss: CrossEntropy) -> None:
    wide = torch.cat([LOGITS, torch.zeros(2, 4)], dim=1)
    shares = torch.nn.functional.one_hot(LABELS, 3).float()
    torch.testing.assert_close(loss(wide, shares), loss(wide, LABELS))


def test_binary_cross_entropy_is_the_mean_over_images_and_classes() -> None:
    wanted = np.array([[1, 0, 0], [0, 0, 1]])
    sure = 1 / (1 + np.exp(-LOGITS.double().numpy()))
    expected = -np.where(wanted == 1, np.log(sure), np.log(1 - sure)).mean()
    assert BinaryCrossEntropy()(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


def test_losses_of_bf16_logits_are_computed_in_fp32() -> None:
    assert CrossEntropy()(LOGITS.bfloat16(), LABELS).dtype == torch.float32


def test_distillation_is_zero_for_equal_outputs_and_the_softened_divergence_otherwise() -> None:
    assert distillation(LOGITS, LOGITS, 4.0).item() == pytest.approx(0, abs=1e-7)
    other = LOGITS.flip(0)
    student, teacher = (log_softmax(t.double().numpy() / 2) for t in (LOGITS, other))
    expected = (np.exp(teacher) * (teacher - student)).sum(axis=1).mean() * 4
    assert distillation(LOGITS, other, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_smoothing_everything_is_refused() -> None:
    with pytest.raises(ArgumentError, match="label_smoothing must be at least 0 and less than 1, got 1.0"):
        CrossEntropy(label_smoothing=1.0)
