"""Transfer weights to another form of their network, so that it computes the same. Importing this imports no torch."""

from spdbuild.weight_transfer.carry_over import carry_over
from spdbuild.weight_transfer.kernel import PixelKernel, smallest_window

__all__ = ["PixelKernel", "carry_over", "smallest_window"]
