"""Two networks on the same images, of which each is right or wrong: McNemar's test, exact.

Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12; with the binomial distribution in place of the normal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

#: From so many images on, binomials are no longer summed as whole numbers, whose digits are as many as the images.
_SUMMED = 1000
#: A share of the largest term below which those that follow change no digit.
_NEGLIGIBLE = 1e-20


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
        if count - 2 * less <= 1:
            return 1.0
        share = _share if less < _SUMMED else _share_of_many
        return min(1.0, 2 * share(less, count))

    def to_dict(self) -> dict[str, Any]:
        return {"gained": self.gained, "lost": self.lost, "p": self.p}


def _share(most: int, count: int) -> float:
    """The share of all divisions of `count` images in which at most so many go one way."""
    term = total = 1
    for k in range(most):
        term = term * (count - k) // (k + 1)
        total += term
    # Whole numbers of any size divide without rounding on the way.
    return total / (1 << count)


def _share_of_many(most: int, count: int) -> float:
    """The same for `most` below count / 2, but not below `_SUMMED`: 12 digits of it, in a time of about sqrt(count)."""
    least = count - most
    apart = (least - most) / count
    # The logarithm of the binomial by Stirling's series, in an order in which no large terms cancel out.
    exponent = -count / 2 * (math.log1p(-(apart**2)) + 2 * apart * math.atanh(apart))
    exponent += _remainder(count) - _remainder(most) - _remainder(least)
    term, total = 1.0, 0.0
    for k in range(most, -1, -1):
        if term < _NEGLIGIBLE:
            break
        total += term
        term *= k / (count - k + 1)
    return total * math.exp(exponent) * math.sqrt(count / most / least / math.tau)


def _remainder(n: int) -> float:
    """What log(n!) has beyond n log(n) - n + log(2 pi n) / 2."""
    # The next term is below 1e-18 from _SUMMED on.
    return 1 / (12 * n) - 1 / (360 * n**3)
