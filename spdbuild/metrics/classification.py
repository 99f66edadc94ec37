"""Logits of a batch -> what was right and wrong, without waiting for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spdbuild.metrics.by_image.answers import TOP


def judge(logits: Tensor, labels: Tensor) -> Tensor:
    """float32 [N, 3] on the device of the logits [N, outputs]: predicted output, rank of the label, cross-entropy.

    The label is ranked among the TOP highest logits, from 0; TOP if it is not among them, or if a logit is NaN or
    infinite. A logit of -inf only hides its output.
    """
    logits = logits.float()
    best = logits.topk(min(TOP, logits.shape[1]), dim=1).indices  # [N, TOP]
    hits = best == labels[:, None]
    told = hits.any(dim=1) & (logits < torch.inf).all(dim=1)
    places = torch.where(told, hits.float().argmax(dim=1), TOP)
    return torch.stack((best[:, 0], places, functional.cross_entropy(logits, labels, reduction="none")), dim=1)
