"""Data sets, and the loaders that bring their images to a network in batches."""

from spdbuild.data.dataset import DATASETS, DataSet, Split
from spdbuild.data.files.images import ArrayImages, FileImages, ImageSet
from spdbuild.data.loading.loader import Loader

__all__ = ["DATASETS", "ArrayImages", "DataSet", "FileImages", "ImageSet", "Loader", "Split"]
