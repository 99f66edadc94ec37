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


def test_a_class_counts_what_its_weight_says() -> None:
    surprise = -log_softmax(LOGITS.double().numpy())
    loss = CrossEntropy(class_weights={"c": 5})
    weights = loss.weights(LABELS, ("a", "b", "c"))
    assert weights is not None
    assert weights.tolist() == [1, 1, 5]
    assert loss(LOGITS, LABELS, weights).item() == pytest.approx((surprise[0, 0] + 5 * surprise[1, 2]) / 2, rel=1e-6)


def test_balanced_classes_count_alike_and_an_image_once_on_average() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 2, 2])
    weights = CrossEntropy(class_weights="balanced").weights(labels, ("a", "b", "c"))
    assert weights is not None
    of_images = weights[labels]
    assert [of_images[labels == number].sum().item() for number in range(3)] == pytest.approx([8 / 3] * 3)
    assert of_images.mean().item() == pytest.approx(1)


def test_weights_of_mixed_images_are_those_of_torch() -> None:
    shares, weights = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.5, 0.5]]), torch.tensor([1.0, 2.0, 3.0])
    expected = torch.nn.functional.cross_entropy(LOGITS, shares, weights)
    torch.testing.assert_close(CrossEntropy()(LOGITS, shares, weights), expected)


def test_a_weight_counts_for_what_smoothing_adds_too() -> None:
    loss, weights = CrossEntropy(label_smoothing=0.3), torch.tensor([1.0, 2.0, 7.0])
    alone = [loss(LOGITS[i : i + 1], LABELS[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(loss(LOGITS, LABELS, weights), (1 * alone[0] + 7 * alone[1]) / 2)


def test_a_class_without_images_draws_no_answers() -> None:
    labels = torch.tensor([0] * 99 + [1])
    loss = CrossEntropy(class_weights="balanced", label_smoothing=0.1)
    weights = loss.weights(labels, ("common", "rare", "absent"))
    # The one answer that is best for all images, found by Newton's steps on a convex function.
    answer = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([answer], max_iter=200)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(answer.expand(100, 3), labels, weights)
        value.backward()
        return value

    optimizer.step(closure)
    common, rare, absent = answer.detach().softmax(dim=0).tolist()
    assert (common, rare, absent) == pytest.approx((0.9 / 2 + 0.1 / 3, 0.9 / 2 + 0.1 / 3, 0.1 / 3), abs=1e-3)


def test_an_image_counts_the_same_in_any_batch() -> None:
    loss, weights = CrossEntropy(), torch.tensor([1.0, 2.0, 7.0])
    alone = [loss(LOGITS[i : i + 1], LABELS[i : i + 1], weights) for i in range(2)]
    torch.testing.assert_close(loss(LOGITS, LABELS, weights), (alone[0] + alone[1]) / 2)


def test_weights_are_smoothed_over_outputs_that_no_class_has_too() -> None:
    wide, loss = torch.cat([LOGITS, torch.zeros(2, 4)], dim=1), CrossEntropy(label_smoothing=0.3)
    torch.testing.assert_close(loss(wide, LABELS, torch.ones(3)), loss(wide, LABELS))


def test_outputs_that_no_class_has_may_be_there_beside_weights() -> None:
    wide = torch.cat([LOGITS, torch.zeros(2, 4)], dim=1)
    expected = torch.nn.functional.cross_entropy(wide, LABELS, reduction="none") * torch.tensor([1.0, 7.0])
    torch.testing.assert_close(CrossEntropy()(wide, LABELS, torch.tensor([1.0, 2.0, 7.0])), expected.mean())


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_a_weight_that_makes_no_sense_is_refused(weight: float) -> None:
    with pytest.raises(ArgumentError, match="the weight of 'a' must be more than 0 and finite"):
        CrossEntropy(class_weights={"a": weight})


def test_the_weight_of_an_unknown_class_is_refused() -> None:
    with pytest.raises(ArgumentError) as caught:
        CrossEntropy(class_weights={"crac": 5}).weights(LABELS, ("good", "crack"))
    assert caught.value.problems[0].hint == "did you mean 'crack'?"


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


def test_smoothing_of_binary_cross_entropy_spreads_a_share_over_all_classes() -> None:
    wanted = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    sure = 1 / (1 + np.exp(-LOGITS.double().numpy()))
    expected = -(wanted * np.log(sure) + (1 - wanted) * np.log(1 - sure)).mean()
    assert BinaryCrossEntropy(label_smoothing=0.3)(LOGITS, LABELS).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", [None, torch.ones(3)], ids=["alone", "weighted"])
def test_losses_of_bf16_logits_are_computed_in_fp32(weights: torch.Tensor | None) -> None:
    rounded = LOGITS.bfloat16()
    loss = CrossEntropy()(rounded, LABELS, weights)
    torch.testing.assert_close(loss, CrossEntropy()(rounded.float(), LABELS))


def test_distillation_is_zero_for_equal_outputs_and_the_softened_divergence_otherwise() -> None:
    assert distillation(LOGITS, LOGITS, 4.0).item() == pytest.approx(0, abs=1e-7)
    # Of unlike images, for which the two directions differ.
    other = 0.3 * LOGITS
    student, teacher = (log_softmax(t.double().numpy() / 2) for t in (LOGITS, other))
    expected = (np.exp(teacher) * (teacher - student)).sum(axis=1).mean() * 4
    assert distillation(LOGITS, other, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_smoothing_everything_is_refused() -> None:
    with pytest.raises(ArgumentError, match="label_smoothing must be at least 0 and less than 1, got 1.0"):
        CrossEntropy(label_smoothing=1.0)
