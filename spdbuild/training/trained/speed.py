"""The speed of a model: images per second, and the time of one call."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from spdbuild.system.timing import Times, take_turns, wait_for
from spdbuild.training.precision import autocast


@dataclass(frozen=True)
class Speed:
    """The times of a model in inference, after a warm-up.

    images_per_second: with batches of `batch`, from the median time of a batch.
    latency_ms: milliseconds of a call with one image, by percentile: p50, p90, p99.
    calls: number of timed calls of each kind.
    """

    batch: int
    images_per_second: float
    latency_ms: dict[str, float]
    calls: int


@torch.inference_mode()
def measure_speed(
    model: nn.Module,
    input: tuple[int, ...],
    batch: int,
    precision: str,
    device: torch.device,
    *,
    channels_last: bool,
    calls: int = 30,
) -> Speed:
    """Time calls of `model`, in eval mode, with random images of shape `input` [C, H, W].

    channels_last: whether the images have their channels innermost in memory.
    """
    model.eval()
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def timed(count: int) -> Times:
        images = torch.rand(count, *input, device=device).to(memory_format=layout)

        def call() -> None:
            model(images)
            wait_for(device)

        with autocast(precision, device):
            return take_turns([call], rounds=calls)[0]

    single, whole = timed(1), timed(batch)
    latency = {f"p{share}": 1000 * single.percentile(share) for share in (50, 90, 99)}
    return Speed(batch, batch / whole.median, latency, calls)
