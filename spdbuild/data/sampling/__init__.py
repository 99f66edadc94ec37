"""How often training images are drawn. `SAMPLINGS` finds the ways by name."""

from spdbuild.data.sampling.sampling import SAMPLINGS, Occurrences, Sampling

__all__ = ["SAMPLINGS", "Occurrences", "Sampling"]
