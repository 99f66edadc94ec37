"""Two networks on the same images, of which each is right or wrong: McNemar's test, exact.

Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12; with the binomial distribution in place of the normal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: A share of the sum below which a term, and those that follow, change no digit.
_NEGLIGIBLE = 1e-17


@dataclass(frozen=True)
class McNemar:
    """The images that only one of two networks gets right.

    gained: how many the network gets right and its reference does not. lost: how many are the other way round.
    """

    gained: int
    lost: int

    @property
    def p(self) -> float:
        """How likely so uneven a division is, or a more uneven one, if each image goes either way with equal chance."""
        less, count = min(self.gained, self.lost), self.gained + self.lost
        return 1.0 if count - 2 * less <= 1 else min(1.0, 2 * _share(less, count))

    def to_dict(self) -> dict[str, Any]:
        return {"gained": self.gained, "lost": self.lost, "p": self.p}


def _share(most: int, count: int) -> float:
    """The share of all divisions of `count` images in which at most `most` go one way; `most` is below count / 2."""
    chosen = math.lgamma(count + 1) - math.lgamma(most + 1) - math.lgamma(count - most + 1)
    term, total = math.exp(chosen - count * math.log(2)), 0.0
    # From the largest term down.
    for k in range(most, -1, -1):
        if term < _NEGLIGIBLE * total:
            break
        total += term
        term *= k / (count - k + 1)
    return total
