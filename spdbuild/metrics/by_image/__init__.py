"""The results by image that metrics are computed from, so that they can be computed for resampled images, too.

Importing this does not import torch. A kind is one file here, or comes from the entry point `spdbuild.by_image`.
"""

from spdbuild.metrics.by_image.results import FILE, KINDS, ByImage, load, save

__all__ = ["FILE", "KINDS", "ByImage", "load", "save"]
