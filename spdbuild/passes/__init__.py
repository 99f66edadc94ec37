"""Graph -> Graph: one file, one pass. `PASSES` finds them by name."""

from spdbuild.passes.graph_pass import PASSES, Change, GraphPass, run_passes

__all__ = ["PASSES", "Change", "GraphPass", "run_passes"]
