"""File formats, one module each. `FORMATS` finds them by name."""

from spdbuild.exporting.formats.format import FORMATS, Axes, Format, Runner, format_for, runner_of

__all__ = ["FORMATS", "Axes", "Format", "Runner", "format_for", "runner_of"]
