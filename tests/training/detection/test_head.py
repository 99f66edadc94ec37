"""Anchors fitted to data, and networks that are no detectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import RecipeError
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.head import check_maps, describe_fit, fit_anchors, head_of

DATA = TinyObjects(images=40, size=64).open("train")


def test_anchors_that_fit_stay() -> None:
    head = Detect([1], 6, [[[8, 8], [14, 14]]], [8])
    before = head.anchors.clone()
    found = fit_anchors(head, DATA, 64, 4.0, 0.98, seed=0)
    assert not found.replaced
    assert torch.equal(head.anchors, before)
    assert describe_fit(found) == ["100.0 % of the boxes fit the anchors"]


def test_anchors_that_do_not_fit_are_replaced_by_some_that_do() -> None:
    head = Detect([1, 1], 6, [[[100, 100], [120, 120]], [[200, 200], [300, 300]]], [4, 8])
    found = fit_anchors(head, DATA, 64, 4.0, 0.98, seed=0)
    assert found.replaced
    assert found.recall_before == 0.0
    assert found.recall == 1.0
    pixels = head.anchors * torch.tensor([4.0, 8.0]).view(2, 1, 1)
    np.testing.assert_allclose(pixels, found.anchors, rtol=1e-6)
    # Objects are squares with sides of 6 to 20 pixels.
    assert 5 < pixels.min() < pixels.max() < 21
    (line,) = describe_fit(found)
    assert "0.0 % of the boxes fit the anchors, and 100.0 % fit new ones" in line


def test_boxes_that_fit_no_anchor_are_a_warning() -> None:
    head = Detect([1], 6, [[[100, 100], [120, 120]]], [8])
    # Of as few boxes as there are anchors no others are made.
    found = fit_anchors(head, DATA.subset([]), 64, 4.0, 0.98, seed=0)
    assert len(describe_fit(found)) == 1
    line, warning = describe_fit(replace(found, recall_before=0.25, recall=0.25))
    assert line == "25.0 % of the boxes fit the anchors"
    assert warning.startswith("warning: 75.0 % of the boxes fit no anchor, and nothing is learned from them")


def test_boxes_are_measured_at_the_size_of_training() -> None:
    head = Detect([1], 6, [[[30, 30], [60, 60]]], [8])
    assert not fit_anchors(head, DATA, 256, 4.0, 0.98, seed=0).replaced
    assert fit_anchors(head, DATA, 32, 4.0, 0.98, seed=0).replaced


def test_a_network_needs_one_head() -> None:
    with pytest.raises(RecipeError, match="has one detection head, and this network has none"):
        head_of(nn.Sequential(nn.Conv2d(3, 1, 1)))
    two = nn.ModuleList(Detect([1], 1, [[[8, 8]]], [8]) for _ in range(2))
    with pytest.raises(RecipeError, match="has one detection head, and this network has 2"):
        head_of(two)


def test_outputs_that_are_no_maps_are_refused() -> None:
    check_maps([torch.zeros(1, 3, 4, 4, 7), torch.zeros(1, 3, 2, 2, 7)], 2)
    with pytest.raises(RecipeError, match=r"and this network gives \[1, 10\]"):
        check_maps(torch.zeros(1, 10), 2)
    with pytest.raises(RecipeError, match="the head has 80 classes and the data has 4"):
        check_maps([torch.zeros(1, 3, 4, 4, 85)], 4)
