"""Write a whole data set in another format: which parts of it, and whether its large images become tiles."""

from __future__ import annotations

from pathlib import Path

from spdbuild.data.detection.convert import Conversion, Format, convert
from spdbuild.data.detection.dataset import DetectionDataSet, splits_of, usable
from spdbuild.data.detection.findings import GRAVE, refuse_grave
from spdbuild.data.detection.tiles import TileOptions, cut


def convert_data_set(
    data_set: DetectionDataSet,
    format: Format,
    folder: Path,
    *,
    outlines: bool = False,
    tiles: TileOptions | None = None,
) -> tuple[Conversion, int]:
    """Write every split of a data set into a new folder; return what was written, and how many findings were skipped.

    What cannot be used is refused with a DataError, or left out where the data set has `on_error="skip"`.
    outlines: as for `convert`. tiles: how larger images are cut; of the tiles of "train", only those with something
        to learn are written.
    """
    splits = splits_of(data_set)
    if getattr(data_set, "on_error", "refuse") == "skip":
        splits = {split: usable(dataset, "skip") for split, dataset in splits.items()}
    else:
        refuse_grave(finding for dataset in splits.values() for finding in dataset.findings)
    skipped = sum(finding.kind in GRAVE for dataset in splits.values() for finding in dataset.findings)
    if tiles is not None and tiles.size is not None:
        size = tiles.size
        for split, dataset in splits.items():
            tiled = cut(dataset, size, tiles.overlap, tiles.min_visible, tiles.whole)
            splits[split] = tiled.to_learn(tiles.background) if split == "train" else tiled.dataset
    return convert(splits, format, folder, outlines=outlines), skipped
