"""What a line of an architecture does: one op, one class. `OPS` finds them by name."""

from spdbuild.ops.op import OPS, Example, Op

__all__ = ["OPS", "Example", "Op"]
