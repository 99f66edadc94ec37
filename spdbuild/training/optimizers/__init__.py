"""Optimizers. `OPTIMIZERS` finds them by name."""

from spdbuild.training.optimizers.optimizer import OPTIMIZERS, Optimizer, parameter_groups

__all__ = ["OPTIMIZERS", "Optimizer", "parameter_groups"]
