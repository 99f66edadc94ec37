"""The pictures of a video, one by one."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spdbuild.errors import DataError, InputError

SUFFIXES = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"))


def is_film(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def require() -> None:
    """Raise InputError unless PyAV is installed."""
    _pyav()


def read_frames(file: Path) -> Iterator[Tensor]:
    """The pictures of a video, uint8 [3, height, width] each; InputError without PyAV, DataError if it is no video."""
    av = _pyav()
    try:
        with av.open(str(file)) as container:
            for frame in container.decode(video=0):
                yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    except (av.FFmpegError, IndexError) as error:
        raise DataError(f"{file}: this video cannot be read: {error}") from None


def _pyav() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError:
        raise InputError("reading videos needs PyAV", hint='pip install "spdbuild[video]"') from None
