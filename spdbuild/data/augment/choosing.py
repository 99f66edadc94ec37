"""Different changes to the images of one batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from spdbuild.data.draws import sent

#: Maps n images [n, C, H, W] and a number for each to as many images of the same type and size.
Change = Callable[[Tensor, list[float]], Tensor]

#: Pixels that a change gets at a time on a CPU: its intermediate results, some 12 bytes a pixel, stay in the cache.
CACHED_PIXELS = 2**17


def change_each(images: Tensor, changes: Sequence[Change], choices: Sequence[int], numbers: Sequence[float]) -> None:
    """Change each image by one of `changes`, in place, all images with the same one at once.

    images: [N, C, H, W], contiguous.
    choices: for each image the position of its change in `changes`.
    numbers: what the change gets for each image.
    """
    for choice, rows in _parts(choices, _images_at_a_time(images)):
        index = sent(torch.tensor(rows), images.device)
        changed = changes[choice](images.index_select(0, index), [numbers[row] for row in rows])
        _words(images).index_copy_(0, index, _words(changed))


def _parts(choices: Sequence[int], most: int) -> Iterator[tuple[int, list[int]]]:
    """Each choice with at most `most` of the rows that have it."""
    groups: dict[int, list[int]] = {}
    for row, choice in enumerate(choices):
        groups.setdefault(choice, []).append(row)
    for choice, rows in groups.items():
        for start in range(0, len(rows), most):
            yield choice, rows[start : start + most]


def _images_at_a_time(images: Tensor) -> int:
    height, width = images.shape[-2:]
    return max(1, CACHED_PIXELS // (height * width) if images.device.type == "cpu" else len(images))


def _words(images: Tensor) -> Tensor:
    """The same memory as [N, ...], in words of eight bytes if they fit: on a CPU index_copy_ copies one by one."""
    flat = images.flatten(1)
    return flat if flat.shape[1] % 8 else flat.view(torch.int64)
