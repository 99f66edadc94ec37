"""The detection head of a network, and its anchors fitted to the boxes that it will learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spdbuild.boxes.anchors import AnchorCheck, AnchorOptions, check_anchors
from spdbuild.data.detection.table import DetectionSet
from spdbuild.errors import RecipeError
from spdbuild.nn.detection import BOX_AND_OBJECT, Detect

#: A smaller share of boxes that can be learned is worth a warning.
_FEW = 0.5


def head_of(model: nn.Module) -> Detect:
    """The one detection head of a network; RecipeError if it has none or several."""
    heads = [module for module in model.modules() if isinstance(module, Detect)]
    if len(heads) != 1:
        raise RecipeError(
            f"a detector has one detection head, and this network has {len(heads) or 'none'}",
            hint="end it with detect(classes, anchors), as yolov5 does",
        )
    return heads[0]


def maps_of(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """A network's outputs as one map [N, A, rows, columns, 5 + K] per level."""
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def check_maps(outputs: Tensor | Sequence[Tensor], classes: int) -> None:
    """Raise RecipeError for outputs that are not the maps of a head for this many classes."""
    depths = {tuple(level.shape)[-1] - BOX_AND_OBJECT if level.dim() == 5 else None for level in maps_of(outputs)}
    if None in depths:
        shapes = ", ".join(str(list(level.shape)) for level in maps_of(outputs))
        raise RecipeError(
            f"a detector gives a map [N, anchors, rows, columns, 5 + classes] a level, and this network gives {shapes}",
            hint="end it with detect(classes, anchors), as yolov5 does",
        )
    if depths != {classes}:
        (depth,) = depths
        raise RecipeError(
            f"the head has {depth} classes and the data has {classes}",
            hint=f"leave vars.classes out, or set it to {classes}",
        )


def fit_anchors(
    head: Detect, dataset: DetectionSet, size: int, ratio: float, min_recall: float, seed: int
) -> AnchorCheck:
    """Replace the head's anchors if too few boxes of the data fit them and others fit more.

    size: pixels of the longer side of an image in training. ratio, min_recall: see AnchorOptions.
    """
    strides = torch.tensor(head.strides).view(-1, 1, 1)
    pixels = (head.anchors.cpu() * strides).double().numpy()
    rows = dataset.trainable.nonzero()[0]
    objects = dataset.objects
    sides = torch.tensor([max(image.height, image.width) for image in dataset.images])
    scale = size / sides[torch.from_numpy(dataset.image_index[rows])].double()
    boxes = torch.stack([torch.from_numpy(side[rows]) * scale for side in (objects.width, objects.height)], dim=1)
    found = check_anchors(boxes.numpy(), pixels, AnchorOptions(anchor_ratio=ratio, min_recall=min_recall), seed)
    if found.replaced:
        head.anchors.copy_(torch.from_numpy(found.anchors) / strides)
    return found


def describe_fit(found: AnchorCheck) -> list[str]:
    """The result of the fitting, as lines of the log; the last warns if most boxes fit no anchor."""
    line = f"{100 * found.recall_before:.1f} % of the boxes fit the anchors"
    if found.replaced:
        levels = "; ".join(" ".join(f"{w:.0f},{h:.0f}" for w, h in level) for level in found.anchors.tolist())
        line += f", and {100 * found.recall:.1f} % fit new ones, which are taken: {levels}"
    if found.recall >= _FEW:
        return [line]
    lost = f"warning: {100 * (1 - found.recall):.1f} % of the boxes fit no anchor, and nothing is learned from them"
    return [line, f"{lost}: see `spdbuild data stats` for their sizes, and vars.anchors"]
