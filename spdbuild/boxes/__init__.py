"""Boxes of objects: their formats and overlap, anchors, sizes and tiles."""
