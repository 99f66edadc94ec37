"""Weights that follow a network into another form, so that it computes what it did. Importing it imports no torch."""

from spdbuild.weight_transfer.carry_over import carry_over
from spdbuild.weight_transfer.kernel import PixelKernel, smallest_window

__all__ = ["PixelKernel", "carry_over", "smallest_window"]
