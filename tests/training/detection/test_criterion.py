"""The loss that the engine minimises."""

from __future__ import annotations

import pytest
import torch

from spdbuild.losses.detection import DetectionLoss, DetectionLossOptions
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.criterion import DetectionCriterion

TARGETS = torch.tensor([[0, 1, 0.4, 0.5, 0.2, 0.3], [1, 0, 0.7, 0.2, 0.1, 0.1]])


def head() -> Detect:
    return Detect([4, 4], 2, [[[8, 8], [14, 20]], [[30, 30], [40, 40]]], [8, 16])


def maps() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 2, side, side, 7, generator=generator) for side in (8, 4)]


def test_the_loss_is_the_published_one_of_an_image() -> None:
    # The published loss of a batch is that of an image times the images: here two, with gains for 2 levels, 2 classes
    # and 64 pixels.
    options = DetectionLossOptions(
        box_gain=0.05 * 3 / 2, class_gain=0.5 * 2 / 80 * 3 / 2, objectness_gain=(64 / 640) ** 2 * 3 / 2
    )
    expected = DetectionLoss(head().anchors, 2, options)(maps(), TARGETS)
    losses = DetectionCriterion(head(), DetectionLossOptions(), 64)(maps(), TARGETS)
    assert 2 * float(losses["loss"]) == pytest.approx(float(expected.total), rel=1e-6)
    parts = losses["box_loss"] + losses["objectness_loss"] + losses["class_loss"]
    assert float(losses["loss"]) == pytest.approx(float(parts), rel=1e-6)


def test_images_without_objects_teach_that_there_is_nothing() -> None:
    level = [values.requires_grad_() for values in maps()]
    losses = DetectionCriterion(head(), DetectionLossOptions(), 64)(level, torch.zeros(0, 6))
    torch.autograd.backward(losses["loss"])
    assert float(losses["box_loss"]) == float(losses["class_loss"]) == 0
    for values in level:
        assert values.grad is not None
        assert (values.grad[..., 4] > 0).all()
        assert (values.grad[..., [0, 1, 2, 3, 5, 6]] == 0).all()
