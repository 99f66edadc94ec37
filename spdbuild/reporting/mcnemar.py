"""Two networks on the same images, of which each is right or wrong: McNemar's test, exact.

Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12; with the binomial distribution in place of the normal one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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
        count = self.gained + self.lost
        term = total = 1
        for k in range(min(self.gained, self.lost)):
            term = term * (count - k) // (k + 1)
            total += term
        # Whole numbers of any size divide without rounding on the way.
        return min(1.0, total / (1 << count) * 2)

    def to_dict(self) -> dict[str, Any]:
        return {"gained": self.gained, "lost": self.lost, "p": self.p}
