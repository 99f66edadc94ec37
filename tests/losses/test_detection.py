"""The detection loss, against the published code and properties."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from spdbuild.errors import ArgumentError
from spdbuild.losses.detection import DetectionLoss, DetectionLossOptions
from spdbuild.losses.loss import LOSSES

VARIANTS = {
    "base": DetectionLossOptions(),
    "ls": DetectionLossOptions(label_smoothing=0.1),
    "focal": DetectionLossOptions(focal_gamma=1.5),
    "pw": DetectionLossOptions(class_positive_weight=2.0, objectness_positive_weight=0.5),
    "no_targets": DetectionLossOptions(),
}


@pytest.fixture
def published(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "fixture_loss.json").read_text())["results"]


@pytest.fixture
def batch(golden: Path) -> tuple[list[Tensor], Tensor]:
    arrays = np.load(golden / "fixture_loss.npz")
    maps = [torch.from_numpy(arrays[f"p{level}"]).requires_grad_() for level in range(3)]
    return maps, torch.from_numpy(arrays["targets"])


def random_maps(levels: int, classes: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 3, 16 >> level, 24 >> level, 5 + classes) for level in range(levels)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def random_targets(classes: int, count: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(2, (count, 1), generator=generator)
    label = torch.randint(classes, (count, 1), generator=generator)
    boxes = torch.rand(count, 4, generator=generator, dtype=torch.float64) * 0.5 + 0.1
    return torch.cat((image, label, boxes), dim=1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_parts_and_gradients_are_those_of_the_published_code(
    variant: str, published: dict[str, Any], batch: tuple[list[Tensor], Tensor], published_anchors: Tensor
) -> None:
    maps, targets = batch
    expected = published[variant]
    targets = targets[:0] if variant == "no_targets" else targets
    found = DetectionLoss(published_anchors, 80, VARIANTS[variant])(maps, targets)
    np.testing.assert_allclose(found.total.item(), expected["loss"], rtol=1e-6)
    parts = [found.box.item(), found.objectness.item(), found.classification.item()]
    np.testing.assert_allclose(parts, expected["items_box_obj_cls"], rtol=1e-6)
    if "grad_abs_sum" in expected:
        gradients = torch.autograd.grad(found.total, maps)
        sums = [gradient.double().abs().sum().item() for gradient in gradients]
        np.testing.assert_allclose(sums, expected["grad_abs_sum"], rtol=1e-6)


@pytest.mark.parametrize("classes", [1, 2, 20])
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5])
def test_any_number_of_levels_and_classes_learns(levels: int, classes: int) -> None:
    maps = random_maps(levels, classes)
    anchors = torch.ones(levels, 3, 2) * 2
    parts = DetectionLoss(anchors, classes)(maps, random_targets(classes))
    parts.total.backward()
    assert parts.total.dtype == torch.float64
    assert (parts.classification > 0) == (classes > 1)
    assert all(m.grad is not None and m.grad.isfinite().all() and m.grad.any() for m in maps)
    torch.testing.assert_close(parts.total, 2 * (parts.box + parts.objectness + parts.classification))


def test_gradients_are_those_of_finite_differences() -> None:
    # With the objectness target constant: it follows the CIoU, but by design carries no gradient.
    options = DetectionLossOptions(iou_share=0.0, focal_gamma=1.5, label_smoothing=0.1, box_gain=0.0)
    loss = DetectionLoss(torch.ones(1, 1, 2) * 2, 2, options)
    level = torch.randn(2, 1, 2, 3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = random_targets(2, count=3)
    assert torch.autograd.gradcheck(lambda x: loss([x], targets).total, level.requires_grad_())


def test_a_perfect_prediction_costs_nothing() -> None:
    level = torch.full((1, 1, 4, 4, 7), -30.0, dtype=torch.float64)
    level[0, 0, 2, 1] = torch.tensor([0.0, 0.0, 0.0, 0.0, 30.0, -30.0, 30.0])
    targets = torch.tensor([[0, 1, 1.5 / 4, 2.5 / 4, 3 / 4, 2 / 4]], dtype=torch.float64)
    parts = DetectionLoss(torch.tensor([[[3.0, 2.0]]]), 2)([level], targets)
    assert parts.total.item() < 1e-6


def test_of_two_boxes_in_one_cell_the_last_gives_the_objectness() -> None:
    level = torch.zeros(1, 1, 4, 4, 6, dtype=torch.float64)
    near, far = [0, 0, 1.5 / 4, 2.5 / 4, 2 / 4, 2 / 4], [0, 0, 1.5 / 4, 2.5 / 4, 7 / 4, 7 / 4]
    loss = DetectionLoss(torch.tensor([[[2.0, 2.0]]]), 1)
    level.requires_grad_()
    slopes = []
    for order in ([near, far], [far, near]):
        objectness = loss([level], torch.tensor(order, dtype=torch.float64)).total
        slopes.append(torch.autograd.grad(objectness, level)[0][0, 0, 2, 1, 4].item())
    # The slope of a cross entropy is (sigmoid - target) / cells, here times the first level's balance of 4.
    np.testing.assert_allclose(slopes, [4 * (0.5 - 4 / 49 + 0) / 16, 4 * (0.5 - 1) / 16], rtol=1e-5)


def test_the_focal_loss_is_that_of_torchvision() -> None:
    level = torch.randn(2, 3, 5, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    options = DetectionLossOptions(focal_gamma=2.0, balance=(1.0,))
    found = DetectionLoss(torch.ones(1, 3, 2), 1, options)([level], torch.zeros(0, 6, dtype=torch.float64))
    expected = sigmoid_focal_loss(level[..., 4], torch.zeros(2, 3, 5, 6, dtype=torch.float64), 0.25, 2.0, "mean")
    torch.testing.assert_close(found.objectness, expected)


def test_half_precision_maps_are_computed_with_in_single_precision() -> None:
    maps = random_maps(3, 4, torch.float16)
    loss, targets = DetectionLoss(torch.ones(3, 3, 2) * 2, 4), random_targets(4)
    half = loss(maps, targets)
    half.total.backward()
    assert half.total.dtype == torch.float32
    torch.testing.assert_close(half.total, loss([m.float() for m in maps], targets).total)


def test_gains_are_scaled_for_levels_classes_and_image_size() -> None:
    options = DetectionLossOptions().scaled(levels=4, classes=20, image_size=320)
    gains = (options.box_gain, options.objectness_gain, options.class_gain)
    np.testing.assert_allclose(gains, (0.05 * 3 / 4, 1.0 * 3 / 4 / 4, 0.5 * 3 / 4 / 4))
    assert DetectionLossOptions().scaled(levels=3, classes=80, image_size=640) == DetectionLossOptions()


def test_too_few_balance_factors_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"balance has 2 factors for a head of 3 levels: 4\.0, 1\.0"):
        DetectionLoss(torch.ones(3, 3, 2), 4, DetectionLossOptions(balance=(4.0, 1.0)))


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("label_smoothing", 1.0, "at least 0 and less than 1"),
        ("focal_gamma", -0.5, "at least 0"),
        ("anchor_ratio", 1.0, "more than 1"),
        ("iou_share", 1.5, "between 0 and 1"),
        ("box_gain", -0.1, "at least 0"),
        ("objectness_gain", math.inf, "a finite number"),
        ("class_gain", -1.0, "at least 0"),
        ("class_positive_weight", -1.0, "at least 0"),
        ("objectness_positive_weight", math.nan, "a finite number"),
        ("focal_gamma", math.inf, "a finite number"),
        ("anchor_ratio", math.inf, "a finite number"),
    ],
)
def test_an_option_out_of_range_is_refused(argument: str, value: float, rule: str) -> None:
    with pytest.raises(ArgumentError, match=f"{argument} must be {rule}, got {value}"):
        DetectionLossOptions(**{argument: value})


def test_a_balance_factor_below_zero_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"balance must be at least 0, got -1\.0"):
        DetectionLossOptions(balance=(4.0, -1.0, 0.4))


def test_a_recipe_finds_the_loss_by_its_name() -> None:
    assert LOSSES["detection"] is DetectionLossOptions


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_the_published_balance_depends_on_the_number_of_levels(levels: int) -> None:
    expected = (4.0, 1.0, 0.4) if levels == 3 else (4.0, 1.0, 0.25, 0.06, 0.02)[:levels]
    assert DetectionLossOptions().level_balance(levels) == expected
