"""What tasks tell the engine."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from torch import nn

from spdbuild.data import ArrayImages
from spdbuild.data.sets.digits import Digits
from spdbuild.training.recipe import load_recipe
from spdbuild.training.task import TASKS, Metric


def test_the_metric_that_says_the_best_epoch_is_among_those_that_are_shown() -> None:
    detection: Any = TASKS["detection"]
    assert detection().shown == ("AP", "AP50", "AP_S", "AP_M", "AP_L", "fitness")
    assert detection(monitor="AP").shown == ("AP", "AP50", "AP_S", "AP_M", "AP_L")
    assert TASKS["classification"]().shown == ()


def test_sizes_stand_beside_those_of_coco_unless_they_are_removed() -> None:
    text = "architecture: yolov5\nvariant: n\ndata: {name: tiny_objects}\n"
    recipe = load_recipe(
        text, ["task.evaluation.sizes.tiny=[0, 16]", "task.evaluation.sizes.M=null", "task.monitor=AP_tiny"]
    )
    assert recipe.task.shown == ("AP", "AP50", "AP_tiny", "AP_S", "AP_L")
    again = load_recipe(recipe.resolved())
    assert again.task == recipe.task
    assert load_recipe(recipe.resolved(), "task.evaluation.sizes.L=[96, 200]").task.evaluation.bins[-1].high == 200


@pytest.mark.parametrize(("better", "values", "best"), [("higher", [1, 3, 2], 3), ("lower", [3, 1, 2], 1)])
def test_the_best_value_is_the_highest_or_the_lowest(
    better: Literal["higher", "lower"], values: list[float], best: float
) -> None:
    metric, found = Metric(better, share=False), None
    for value in [math.nan, *values, math.nan]:
        found = value if metric.beats(value, found) else found
    assert found == best


def test_what_several_processes_saw_is_put_together_in_the_order_of_the_images() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(23, 4, generator=generator), torch.randint(3, (23,), generator=generator)
    images = ArrayImages(torch.zeros(23, 3, 2, 2, dtype=torch.uint8), labels, ("a", "b", "c"))
    recipe = SimpleNamespace(batch=99, test_batch=5)
    seen = []
    # The last batch has 3 images, so the last of 4 processes has none of it.
    for world in (1, 4):
        meters = [
            TASKS["classification"]().meter(recipe, nn.Identity(), images, torch.device("cpu")) for _ in range(world)
        ]
        for rank, meter in enumerate(meters):
            for start in range(0, 23, 5):
                rows = torch.arange(23)[start : start + 5][rank::world]
                if len(rows):
                    meter.update(logits[rows], labels[rows])
        meters[0].merge([meter.state() for meter in meters])
        seen.append(meters[0].evaluation())
    one, four = (evaluation.by_image for evaluation in seen)
    assert one.predicted.tolist() == logits.argmax(dim=1).tolist() == four.predicted.tolist()
    assert one.losses.tolist() == four.losses.tolist()
    assert seen[0].scalars == seen[1].scalars
    assert seen[0].confusion.shape == (3, 4)
    assert torch.equal(seen[0].confusion, seen[1].confusion)


def test_a_process_may_have_no_image_at_all() -> None:
    images = ArrayImages(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64), ("a", "b"))
    recipe = SimpleNamespace(batch=2, test_batch=2)
    one, none = (TASKS["classification"]().meter(recipe, nn.Identity(), images, torch.device("cpu")) for _ in range(2))
    one.update(torch.tensor([[2.0, 1.0]]), images.labels)
    one.merge([one.state(), none.state()])
    assert one.evaluation().scalars["top1"] == 1


def test_a_classifier_is_told_its_hits_while_it_trains() -> None:
    recipe = load_recipe("architecture: resnet18\ndata: {name: digits}\n")
    criterion = recipe.task.criterion(recipe, nn.Identity(), Digits().open("test"))
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    labels = torch.tensor([0, 1, 0, 2])
    assert criterion(logits, labels)["top1"] == 0.5
    # Of two mixed images the larger part counts.
    mixed = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0], [0.7, 0.0, 0.3]])
    assert criterion(logits, mixed)["top1"] == 0.75
