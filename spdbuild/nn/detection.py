"""The detection head of YOLOv5.

Letters: N images, A anchors a level, K classes, L levels, i row and j column of a cell, ny nx cells of a level.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np
import torch
from torch import Tensor, nn

#: Numbers of a prediction before its classes: x, y, width, height, objectness.
BOX_AND_OBJECT = 5


class Detect(nn.Module):
    """Predict A boxes in each cell of each level by 1x1 convolutions.

    Inputs, one a level: (N, C, ny, nx). Outputs, one a level: (N, A, ny, nx, 5 + K) raw predictions x, y, width,
    height, objectness and one for each class, in training and in evaluation; `decode` makes boxes of them.

    in_channels: C of each level.
    anchors: widths and heights in pixels of the input image, [level][anchor][2]. The buffer `anchors` (L, A, 2) holds
        them in cells, that is divided by the stride.
    strides: pixels of the input image in a cell, for each level.
    """

    anchors: Tensor

    def __init__(
        self,
        in_channels: Sequence[int],
        classes: int,
        anchors: Sequence[Sequence[Sequence[float]]],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        self.classes, self.strides = classes, tuple(strides)
        # In numpy: to divide tensors on the meta device imports torch's compiler, which takes a second.
        cells = np.asarray(anchors, np.float32) / np.asarray(self.strides, np.float32)[:, None, None]
        self.register_buffer("anchors", torch.tensor(cells.tolist(), dtype=torch.float32))
        depth = cells.shape[1] * (BOX_AND_OBJECT + classes)
        self.levels = nn.ModuleList(nn.Conv2d(channels, depth, 1) for channels in in_channels)
        self.add_priors()

    def add_priors(self) -> None:
        """Shift the biases so that an untrained head expects few objects.

        Objectness: ln(8 / (640/stride)**2), about 8 objects in an image of 640 x 640. Classes: ln(0.6 / (K - 0.99)),
        but ln(0.6) for a single class: the formula, made for many classes, would begin with probability 0.98.
        """
        for conv, stride in zip(self.levels, self.strides, strict=True):
            bias = conv.get_parameter("bias").detach().view(len(self.anchors[0]), -1)  # [A, 5 + K]
            bias[:, BOX_AND_OBJECT - 1] += log(8 / (640 / stride) ** 2)
            bias[:, BOX_AND_OBJECT:] += log(0.6 / (self.classes - 0.99 if self.classes > 1 else 1))

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        return [self._level(conv(x)) for conv, x in zip(self.levels, inputs, strict=True)]

    def _level(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        anchors = self.anchors.shape[1]
        return x.reshape(batch, anchors, BOX_AND_OBJECT + self.classes, height, width).permute(0, 1, 3, 4, 2)

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """(N, A*(all cells), 5 + K): centre, width and height in pixels, then probabilities.

        The predictions are ordered by level, anchor, row, column.
        """
        return torch.cat([self._decode_level(x, level).flatten(1, 3) for level, x in enumerate(maps)], 1)

    def _decode_level(self, x: Tensor, level: int) -> Tensor:
        # Half precision cannot tell neighbouring pixels apart in a large image.
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        ny, nx = x.shape[2:4]
        rows = torch.arange(ny, device=x.device, dtype=x.dtype)
        columns = torch.arange(nx, device=x.device, dtype=x.dtype)
        cells = torch.stack((columns.expand(ny, nx), rows[:, None].expand(ny, nx)), -1)  # [ny, nx, 2]
        stride = self.strides[level]
        anchors = (self.anchors[level] * stride).to(x.dtype)[:, None, None]  # [A, 1, 1, 2], pixels
        shares = x.sigmoid()
        centres = (2 * shares[..., :2] - 0.5 + cells) * stride
        sizes = (2 * shares[..., 2:4]) ** 2 * anchors
        return torch.cat((centres, sizes, shares[..., 4:]), -1)

    def extra_repr(self) -> str:
        return f"classes={self.classes}, strides={self.strides}"
