"""What metrics are made of, image by image, so that they can be taken of other images than those that were there.

Importing this does not import torch. A kind is one file here, or comes from the entry point `spdbuild.by_image`.
"""

from spdbuild.metrics.by_image.results import FILE, KINDS, ByImage, load, save

__all__ = ["FILE", "KINDS", "ByImage", "load", "save"]
