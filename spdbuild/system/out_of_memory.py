"""Errors of work that does not fit into the memory of a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spdbuild.errors import RunError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory: for GPUs it has an error class, for the CPU only a message."""
    import torch

    sentences = ("can't allocate memory", "not enough memory")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(text in str(error) for text in sentences)


@contextmanager
def full_memory_told(work: str, hint: Callable[[], str]) -> Iterator[None]:
    """Turn out-of-memory errors into a RunError. work: what the memory does not hold, such as "a batch of 8 images"."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"the memory does not hold {work}", hint=hint()) from error
