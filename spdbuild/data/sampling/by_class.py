"""Images of rare classes are drawn more often than others."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from spdbuild.data.sampling.sampling import SAMPLINGS, Occurrences, Sampling
from spdbuild.declaring.ranges import require_range


@SAMPLINGS.register
@dataclass(frozen=True)
class Balanced(Sampling):
    """Draw images in proportion to 1 / share ** power of their rarest class, the share being that of all images.

    power: with 1, all classes are drawn equally often if an image has one class; with 0.5, in proportion to the square
        roots of their shares; with 0, as often as without sampling.

    Source: Kang et al. 2020, "Decoupling Representation and Classifier for Long-Tailed Recognition", arXiv:1910.09217,
    equation 1, where q is 1 - power; for one class an image.
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        require_range(self, "power", least=0, most=1)

    def weights(self, found: Occurrences) -> Tensor:
        return found.largest(found.shares**-self.power)


@SAMPLINGS.register
@dataclass(frozen=True)
class RepeatFactor(Sampling):
    """Draw images in proportion to the repeat factor of their rarest class: max(1, sqrt(threshold / share)).

    threshold: share of all images from which on a class is frequent enough.

    An epoch has as many images as without sampling; the published one is as long as the sum of the factors.

    Source: Gupta et al. 2019, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", arXiv:1908.03195, repeat
    factor sampling.
    """

    threshold: float = 0.001

    def __post_init__(self) -> None:
        require_range(self, "threshold", above=0, most=1)

    def weights(self, found: Occurrences) -> Tensor:
        return found.largest((self.threshold / found.shares).sqrt().clamp(min=1))
