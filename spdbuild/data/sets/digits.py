"""Handwritten digits that come with scikit-learn: real data that needs no download and no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from spdbuild.data.dataset import DATASETS, Split
from spdbuild.data.files.images import ArrayImages
from spdbuild.data.sets.noise import noise_images
from spdbuild.errors import InputError

_TEST_IMAGES = 360


@DATASETS.register
@dataclass(frozen=True)
class Digits:
    """1,797 handwritten digits of 8x8 pixels with 17 grey levels in 10 classes.

    The last 360 are the test split: the images are ordered by writer, so most of its writers are new.

    Source: Alpaydin and Kaynak 1998, "Optical Recognition of Handwritten Digits", doi:10.24432/C50P49, CC BY 4.0; the
    test part of it, as scikit-learn ships it.
    """

    task: ClassVar[Literal["classification"]] = "classification"

    def open(self, split: Split) -> ArrayImages:
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise InputError("the data set digits needs scikit-learn", hint="pip install 'spdbuild[digits]'") from None
        digits = load_digits()
        part = slice(None, -_TEST_IMAGES) if split == "train" else slice(-_TEST_IMAGES, None)
        grey = torch.from_numpy(np.rint(digits.images[part] * (255 / 16)).astype(np.uint8))
        images = grey[:, None].repeat(1, 3, 1, 1)  # [N, 3, 8, 8]
        return ArrayImages(images, torch.from_numpy(digits.target[part].astype(np.int64)), tuple("0123456789"))

    @classmethod
    def sample(cls) -> ArrayImages:
        return noise_images(tuple("0123456789"), size=8)
