"""Counts of right and wrong answers of a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional


class ClassificationCounts:
    """What the metrics of a classifier are made of, gathered without waiting for the device.

    confusion: [classes, outputs], how often an image of a class was taken for what.
    top5: [classes], how often the class was among the five highest logits (all of them, if there are fewer).
    loss: sum of the cross-entropies.
    """

    def __init__(self, classes: int, outputs: int, device: torch.device | str = "cpu") -> None:
        self.confusion = torch.zeros(classes, outputs, dtype=torch.int64, device=device)
        self.top5 = torch.zeros(classes, dtype=torch.int64, device=device)
        self.loss = torch.zeros((), dtype=torch.float64 if str(device) != "mps" else torch.float32, device=device)

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits [N, outputs], labels [N]."""
        logits = logits.float()
        classes, outputs = self.confusion.shape
        best = logits.topk(min(5, outputs), dim=1).indices  # [N, 5]
        cell = labels * outputs + best[:, 0]
        self.confusion.view(-1).scatter_add_(0, cell, torch.ones_like(cell))
        self.top5.scatter_add_(0, labels, (best == labels[:, None]).any(dim=1).long())
        self.loss += functional.cross_entropy(logits, labels, reduction="sum")

    def state(self) -> dict[str, Tensor]:
        return {"confusion": self.confusion.cpu(), "top5": self.top5.cpu(), "loss": self.loss.cpu()}

    def merge(self, states: Iterable[Mapping[str, Tensor]]) -> None:
        states = list(states)
        for name in ("confusion", "top5", "loss"):
            counts = getattr(self, name)
            counts.copy_(sum(state[name] for state in states))

    def scalars(self) -> dict[str, float]:
        """top1, top5, mean of the classes' top1, and the mean cross-entropy, over all images."""
        images = int(self.confusion.sum())
        right = self._right()
        seen = self.confusion.sum(dim=1) > 0
        return {
            "top1": int(right.sum()) / max(images, 1),
            "top5": int(self.top5.sum()) / max(images, 1),
            "mean_class_top1": float(self.recall()[seen].mean()) if images else 0.0,
            "loss": float(self.loss) / max(images, 1),
        }

    def recall(self) -> Tensor:
        """[classes] share of a class's images that were recognised; 0 without images."""
        return self._right().double() / self.confusion.sum(dim=1).clamp(min=1)

    def precision(self) -> Tensor:
        """[classes] share of the images taken for a class that were of it; 0 if none was."""
        taken = self.confusion.sum(dim=0)[: len(self.confusion)]
        return self._right().double() / taken.clamp(min=1)

    def rows(self) -> list[dict[str, float]]:
        """For each class: images, top1 (recall), top5, precision and F1."""
        images = self.confusion.sum(dim=1)
        recall, precision = self.recall(), self.precision()
        f1 = 2 * recall * precision / (recall + precision).clamp(min=1e-12)
        top5 = self.top5.double() / images.clamp(min=1)
        columns = {"images": images, "top1": recall, "top5": top5, "precision": precision, "f1": f1}
        return [{name: column[i].item() for name, column in columns.items()} for i in range(len(images))]

    def _right(self) -> Tensor:
        return self.confusion.diagonal()
