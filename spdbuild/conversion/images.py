"""Images of a folder as inputs of a network: for calibration, and for comparing two networks on real pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from spdbuild.data.files.decoding import BadFile, decode
from spdbuild.data.files.listing import existing_folder, image_files
from spdbuild.errors import DataError, InputError
from spdbuild.graph import Graph

_BATCH = 8


def folder_images(folder: Path, graph: Graph, limit: int) -> Iterator[Tensor]:
    """Batches (N, 3, H, W) of up to `limit` images below `folder`, cropped to the input of `graph`, in 0 .. 1.

    Raises InputError if the network does not read one RGB image, DataError for an empty folder or a file that is no
    image.
    """
    if len(graph.inputs) != 1 or graph.inputs[0].shape.channels != 3:
        shapes = " and ".join(str(node.shape) for node in graph.inputs)
        raise InputError(f"{graph.name} reads {shapes}, but the images of a folder are RGB")
    size = graph.inputs[0].shape.height, graph.inputs[0].shape.width
    paths = islice(image_files(existing_folder(folder)), limit)
    found = False
    while chunk := list(islice(paths, _BATCH)):
        found = True
        yield torch.stack([_image(path, size) for path in chunk])
    if not found:
        raise DataError(f"there are no images in {folder}")


def _image(path: Path, size: tuple[int, int]) -> Tensor:
    pixels = decode(path, size, "crop")
    if isinstance(pixels, BadFile):
        raise DataError(str(pixels))
    return torch.from_numpy(pixels).float() / 255
