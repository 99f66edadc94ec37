"""How the output of a layer lies within the output of the layer of the same name in a converted network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from spdbuild.graph import Output


@dataclass(frozen=True)
class Embedding:
    """old[:, c, i, j] == new[:, k, h*i, w*j] for every new channel k that carries c, and step (h, w).

    of: the old network's output.
    kin: for each new channel the old channel that it is computed like.
    carries: whether it equals that channel; if not, it is what the old channel would be at neighbouring pixels.
    step: pixels of the new output for each of the old; greater than 1 between an unstrided convolution and the
        space_to_depth after it.
    """

    of: Output
    kin: tuple[int, ...]
    carries: tuple[bool, ...]
    step: tuple[int, int] = (1, 1)

    @classmethod
    def same(cls, of: Output, channels: int, step: tuple[int, int] = (1, 1)) -> Embedding:
        """The embedding of an output whose channels stay the same."""
        return cls(of, tuple(range(channels)), (True,) * channels, step)

    @cached_property
    def same_channels(self) -> bool:
        return all(self.carries) and self.kin == tuple(range(len(self.kin)))

    @property
    def is_same(self) -> bool:
        """Whether the two outputs are equal."""
        return self.same_channels and self.step == (1, 1)

    @cached_property
    def places(self) -> dict[int, int]:
        """Old channel -> the first new channel that carries it."""
        found: dict[int, int] = {}
        for place, (channel, carried) in enumerate(zip(self.kin, self.carries, strict=True)):
            if carried:
                found.setdefault(channel, place)
        return found
