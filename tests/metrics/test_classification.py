"""Counts of a classifier, beside counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spdbuild.metrics.classification import ClassificationCounts


def counted(logits: torch.Tensor, labels: torch.Tensor, classes: int, batch: int = 7) -> ClassificationCounts:
    counts = ClassificationCounts(classes, logits.shape[1])
    for start in range(0, len(labels), batch):
        counts.update(logits[start : start + batch], labels[start : start + batch])
    return counts


@pytest.fixture
def answers() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(100, 8, generator=generator), torch.randint(6, (100,), generator=generator)


def test_top1_top5_and_loss_are_those_of_numpy(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = (tensor.numpy() for tensor in answers)
    order = np.argsort(-logits, axis=1)
    scalars = counted(*answers, classes=6).scalars()
    assert scalars["top1"] == np.mean(order[:, 0] == labels)
    assert scalars["top5"] == np.mean((order[:, :5] == labels[:, None]).any(axis=1))
    surprise = np.log(np.exp(logits.astype(float)).sum(axis=1)) - logits[np.arange(100), labels]
    assert scalars["loss"] == pytest.approx(surprise.mean(), rel=1e-6)


def test_the_rows_are_those_of_scikit_learn(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    logits, labels = answers
    predicted = logits.argmax(dim=1)
    rows = counted(logits, labels, classes=6).rows()
    expected = metrics.precision_recall_fscore_support(labels, predicted, labels=list(range(6)), zero_division=0)
    for i, (precision, recall, f1, images) in enumerate(zip(*expected, strict=True)):
        assert (rows[i]["precision"], rows[i]["top1"]) == pytest.approx((precision, recall))
        assert (rows[i]["f1"], rows[i]["images"]) == (pytest.approx(f1), images)


def test_outputs_beyond_the_classes_are_wrong_answers() -> None:
    counts = counted(torch.tensor([[0.0, 1.0, 5.0]]), torch.tensor([1]), classes=2)
    assert counts.confusion.tolist() == [[0, 0, 0], [0, 0, 1]]
    assert counts.scalars()["top1"] == 0


def test_parts_merge_to_the_whole(answers: tuple[torch.Tensor, torch.Tensor]) -> None:
    logits, labels = answers
    parts = [counted(logits[i::3], labels[i::3], classes=6) for i in range(3)]
    parts[0].merge([part.state() for part in parts])
    whole = counted(logits, labels, classes=6)
    assert torch.equal(parts[0].confusion, whole.confusion)
    assert parts[0].scalars() == pytest.approx(whole.scalars())


def test_a_class_without_images_does_not_count() -> None:
    counts = counted(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([0, 1]), classes=3)
    assert counts.scalars()["mean_class_top1"] == 0.5


def test_fewer_than_five_outputs_are_all_among_the_top_five() -> None:
    assert counted(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), classes=2).scalars()["top5"] == 1
