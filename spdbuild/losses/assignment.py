"""Which cells and anchors of a detection head learn which labelled boxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

# Half a cell towards each neighbour that may share a box: none, left, up, right, down.
_OFFSETS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (-0.5, 0.0), (0.0, -0.5))


@dataclass(frozen=True, slots=True)
class Assignment:
    """M matches of labelled boxes with anchors of one level; every field has M rows.

    image, anchor, row, column: the prediction's position in the level's map [N, A, rows, columns, 5 + K].
    label: class index.
    boxes_cxcywh: the box that the prediction should give, in grid cells, its centre relative to the cell's corner.
    anchor_sizes: width and height of the matched anchors [M, 2], in grid cells.
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    label: Tensor
    boxes_cxcywh: Tensor
    anchor_sizes: Tensor

    def __len__(self) -> int:
        return len(self.image)


def assign(targets: Tensor, anchors: Tensor, rows: int, columns: int, anchor_ratio: float = 4.0) -> Assignment:
    """The matches of one level.

    targets: [B, 6], rows (image, class, centre x, centre y, width, height), sizes as fractions of the image.
    anchors: [A, 2], widths and heights in grid cells.
    anchor_ratio: a box matches an anchor if neither side is this many times longer or shorter.

    A match is given to the cell of the box's centre and to the nearest neighbour on each axis, if there is one; a
    centre exactly in the middle of a cell has none. First come all centre cells, anchor by anchor, then all copies to
    the left, above, to the right and below.

    Source: Jocher et al., YOLOv5 v6.0, doi:10.5281/zenodo.5563715.
    """
    grid, offsets = _constants(rows, columns, targets.dtype, targets.device)
    anchors = anchors.to(targets)
    centres, sizes = targets[:, 2:4] * grid, targets[:, 4:6] * grid  # [B, 2]
    ratio = sizes[None] / anchors[:, None]  # [A, B, 2]
    fits = torch.maximum(ratio, 1 / ratio).amax(dim=-1) < anchor_ratio
    anchor, target = fits.nonzero(as_tuple=True)
    cell_share, match = _neighbours(centres[target], grid).nonzero(as_tuple=True)
    anchor, target = anchor[match], target[match]
    cell = (centres[target] - offsets[cell_share]).long()
    cell = torch.minimum(cell.clamp(min=0), grid.long() - 1)
    return Assignment(
        image=targets[target, 0].long(),
        anchor=anchor,
        row=cell[:, 1],
        column=cell[:, 0],
        label=targets[target, 1].long(),
        boxes_cxcywh=torch.cat((centres[target] - cell, sizes[target]), dim=1),
        anchor_sizes=anchors[anchor],
    )


@lru_cache
def _constants(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """The sides of the grid (columns, rows) and _OFFSETS. They are cached, because each copy to a device blocks."""
    sides, offsets = (torch.tensor(values, dtype=dtype, device=device) for values in ((columns, rows), _OFFSETS))
    return sides, offsets


def _neighbours(centres: Tensor, grid: Tensor) -> Tensor:
    """Which of the five cells of _OFFSETS take part, for M centres in grid cells: bool [5, M]."""
    from_end = grid - centres
    before = (centres % 1 < 0.5) & (centres > 1)
    behind = (from_end % 1 < 0.5) & (from_end > 1)
    own = torch.ones_like(before[:, :1])
    return torch.cat((own, before, behind), dim=1).T
