"""Random numbers of a batch that depend only on seed, epoch, batch and the sample's position in the batch."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device. A GPU copies them when it gets there: this process does not wait for it."""
    if device.type != "cuda":
        return values.to(device)
    # From unpinned memory the call would block until the copy is done, after all earlier work of the device.
    return values.pin_memory().to(device, non_blocking=True)


def generator(*parts: int | str) -> torch.Generator:
    """A generator on the CPU whose stream is set by `parts`, such as (seed, epoch, batch)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))


class Draws:
    """Random numbers for some samples of a batch.

    Each call draws for the whole batch on the CPU and gives the rows asked for, so a process that holds a part of the
    batch gets the numbers that one process with all of it would use, on any device.

    total: samples in the batch of all processes.
    rows: positions in that batch of the samples at hand, int64 [n]; all if None.
    device: where the numbers are wanted.
    """

    def __init__(
        self,
        generator: torch.Generator,
        total: int,
        rows: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._generator, self._total, self._device = generator, total, torch.device(device)
        self.rows = torch.arange(total) if rows is None else rows

    @cached_property
    def on_cpu(self) -> Draws:
        """The same stream of draws for callers that need Python numbers, which a device would have to send back."""
        return Draws(self._generator, self._total, self.rows)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """float32 [n], in [low, high)."""
        return self._mine(torch.rand(self._total, generator=self._generator) * (high - low) + low)

    def integers(self, high: int) -> Tensor:
        """int64 [n], in [0, high)."""
        return self._mine(torch.randint(high, (self._total,), generator=self._generator))

    def chance(self, probability: float) -> Tensor:
        """Bool [n], true with `probability`."""
        return self._mine(torch.rand(self._total, generator=self._generator) < probability)

    def beta(self, alpha: float) -> Tensor:
        """float32 [n], from the distribution Beta(alpha, alpha)."""
        seed = int(torch.randint(2**62, (), generator=self._generator))
        values = np.random.default_rng(seed).beta(alpha, alpha, self._total)
        return self._mine(torch.from_numpy(values.astype(np.float32)))

    def partners(self) -> Tensor:
        """For each row the position, among the rows at hand, of the sample before it in the batch, int64 [n].

        A row whose predecessor is not at hand gets itself: it serves only as the partner of another.
        """
        positions = {row: position for position, row in enumerate(self.rows.tolist())}
        before = [(row - 1) % self._total for row in positions]
        partners = [positions.get(row, position) for position, row in enumerate(before)]
        return sent(torch.tensor(partners, dtype=torch.long), self._device)

    def _mine(self, values: Tensor) -> Tensor:
        return sent(values[self.rows], self._device)
