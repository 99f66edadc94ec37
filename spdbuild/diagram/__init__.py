"""A network as a picture: its blocks in layers from top to bottom, as a self-contained SVG."""

from spdbuild.diagram.svg import Mark, diagram_svg

__all__ = ["Mark", "diagram_svg"]
