"""A network as a picture: its blocks in layers from top to bottom, as a self-contained SVG."""

from spdbuild.diagram.svg import Mark, Svg, diagram_svg

__all__ = ["Mark", "Svg", "diagram_svg"]
