"""What tasks tell the engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from spdbuild.losses.loss import LOSSES
from spdbuild.training.task import TASKS


def test_the_metric_that_says_the_best_epoch_is_among_those_that_are_shown() -> None:
    detection: Any = TASKS["detection"]
    assert detection().shown == ("AP", "AP50", "AP_S", "AP_M", "AP_L", "fitness")
    assert detection(monitor="AP").shown == ("AP", "AP50", "AP_S", "AP_M", "AP_L")
    assert TASKS["classification"]().shown == ()


def test_a_classifier_is_told_its_hits_while_it_trains() -> None:
    recipe = SimpleNamespace(loss_of=LOSSES["cross_entropy"])
    criterion = TASKS["classification"]().criterion(recipe, nn.Identity(), None)
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])
    labels = torch.tensor([0, 1, 0, 2])
    assert criterion(logits, labels)["top1"] == 0.5
    # Of two mixed images the larger part counts.
    mixed = torch.tensor([[0.6, 0.4, 0.0], [0.6, 0.4, 0.0], [0.0, 0.0, 1.0], [0.7, 0.0, 0.3]])
    assert criterion(logits, mixed)["top1"] == 0.75
