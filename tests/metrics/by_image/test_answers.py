"""Answers of a classifier, beside counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spdbuild.metrics.by_image.answers import Answers
from spdbuild.metrics.classification import judge


def answered(logits: torch.Tensor, labels: torch.Tensor, classes: int) -> Answers:
    predicted, places, losses = judge(logits, labels).double().numpy().T
    whole = labels.numpy(), predicted.astype(np.int64), places.astype(np.int64)
    return Answers(*whole, losses, classes, logits.shape[1])


@pytest.fixture
def outputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(100, 8, generator=generator), torch.randint(6, (100,), generator=generator)


def test_top1_top5_and_loss_are_those_of_numpy(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = (tensor.numpy() for tensor in outputs)
    order = np.argsort(-logits, axis=1)
    metrics = answered(*outputs, classes=6).metrics()
    assert metrics["top1"] == np.mean(order[:, 0] == labels)
    assert metrics["top5"] == np.mean((order[:, :5] == labels[:, None]).any(axis=1))
    surprise = np.log(np.exp(logits.astype(float)).sum(axis=1)) - logits[np.arange(100), labels]
    assert metrics["loss"] == pytest.approx(surprise.mean(), rel=1e-6)


def test_the_place_of_a_label_is_that_among_the_highest_logits() -> None:
    logits = torch.arange(8.0).repeat(8, 1)
    assert judge(logits, torch.arange(8))[:, 1].tolist() == [5, 5, 5, 4, 3, 2, 1, 0]


def test_one_of_equal_logits_is_the_answer() -> None:
    answers = answered(torch.zeros(8, 8), torch.arange(8), classes=8)
    assert answers.metrics()["top1"] == 1 / 8


def test_the_rows_are_those_of_scikit_learn(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    logits, labels = outputs
    predicted = logits.argmax(dim=1)
    rows = answered(logits, labels, classes=6).rows()
    expected = metrics.precision_recall_fscore_support(labels, predicted, labels=list(range(6)), zero_division=0)
    for i, (precision, recall, f1, images) in enumerate(zip(*expected, strict=True)):
        assert (rows[i]["precision"], rows[i]["top1"]) == pytest.approx((precision, recall))
        assert (rows[i]["f1"], rows[i]["images"]) == (pytest.approx(f1), images)


def test_a_class_has_no_share_of_nothing() -> None:
    """Class 1 has no image and is predicted once; class 2 has neither an image nor a prediction."""
    logits = torch.eye(4)[[0, 1, 3]]
    rows = answered(logits, torch.tensor([0, 0, 3]), classes=4).rows()
    assert rows[0] == {"images": 2, "top1": 0.5, "top5": 1.0, "precision": 1.0, "f1": pytest.approx(2 / 3)}
    assert rows[1] == {"images": 0, "top1": None, "top5": None, "precision": 0.0, "f1": 0.0}
    assert rows[2] == {"images": 0, "top1": None, "top5": None, "precision": None, "f1": None}
    unseen = answered(logits, torch.tensor([0, 0, 2]), classes=4).rows()[2]
    assert unseen == {"images": 1, "top1": 0.0, "top5": 1.0, "precision": None, "f1": 0.0}


def test_the_mean_f1_is_that_of_scikit_learn(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    logits, labels = outputs[0][:, :6], outputs[1] % 4
    weights = np.random.default_rng(1).integers(1, 4, 100).astype(float)
    expected = metrics.f1_score(labels, logits.argmax(dim=1), average="macro", sample_weight=weights)
    assert answered(logits, labels, classes=6).metrics(weights)["mean_class_f1"] == pytest.approx(expected)


def test_outputs_beyond_the_classes_are_wrong_answers() -> None:
    answers = answered(torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([1]), classes=2)
    assert answers.confusion().tolist() == [[0, 0, 0], [0, 0, 1]]
    assert answers.metrics()["top1"] == 0


def test_an_image_that_counts_twice_is_two_images(outputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    weights = np.random.default_rng(0).integers(0, 4, 100)
    rows = torch.from_numpy(np.repeat(np.arange(100), weights))
    repeated = answered(outputs[0][rows], outputs[1][rows], classes=6).metrics()
    assert answered(*outputs, classes=6).metrics(weights.astype(float)) == pytest.approx(repeated, rel=1e-12)


def test_a_class_without_images_does_not_count() -> None:
    answers = answered(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([0, 1]), classes=3)
    assert answers.metrics()["mean_class_top1"] == 0.5
    assert answers.metrics(np.array([1.0, 0.0]))["mean_class_top1"] == 1


def test_fewer_than_five_outputs_are_all_among_the_top_five() -> None:
    assert answered(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), classes=2).metrics()["top5"] == 1


def test_no_image_gives_zeros() -> None:
    answers = answered(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), classes=3)
    assert set(answers.metrics().values()) == {0.0}
    assert answers.confusion().sum() == 0
