"""What a data set of class folders lists."""

from __future__ import annotations

from spdbuild.data.dataset import Split
from spdbuild.data.sets.folder import Folder


def files(data: Folder, split: Split) -> set[str]:
    """The names of the images of a split."""
    listing = data.listing(split)
    return set(map(listing.name, listing.paths))
