"""How a model is timed; never how long it takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spdbuild.system.timing import WARM_UP
from spdbuild.training.trained.speed import measure_speed

CPU = torch.device("cpu")


def test_speed_times_both_kinds_of_call() -> None:
    seen: list[int] = []

    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            return self.conv(images)

    speed = measure_speed(Counted(), (3, 4, 4), 8, "fp32", CPU, channels_last=True, calls=3)
    # The calls of the warm-up before each kind.
    assert seen == [1] * (3 + WARM_UP) + [8] * (3 + WARM_UP)
    assert speed.images_per_second > 0
    assert list(speed.latency_ms) == ["p50", "p90", "p99"]


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_are_timed_in_the_layout_that_is_asked_for(channels_last: bool) -> None:
    class Layout(nn.Module):
        """A convolution of 1x1, whose weights have both layouts at once."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)
            self.seen: set[bool] = set()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.seen.add(images.is_contiguous(memory_format=torch.channels_last))
            return self.conv(images)

    model = Layout()
    measure_speed(model, (3, 4, 4), 2, "fp32", CPU, channels_last=channels_last, calls=1)
    assert model.seen == {channels_last}
