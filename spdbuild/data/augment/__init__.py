"""Augmentations: random or fixed changes of a whole batch of images, on the device where the batch is."""

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation

__all__ = ["AUGMENTATIONS", "Augmentation"]
