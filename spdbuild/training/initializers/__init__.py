"""Initializers of weights. `INITIALIZERS` finds them by name."""

from spdbuild.training.initializers.initializer import INITIALIZERS, Initializer

__all__ = ["INITIALIZERS", "Initializer"]
