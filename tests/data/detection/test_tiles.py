"""Windows of images: what they show, and what is learned from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as run_lengths

from spdbuild.data.detection import pixels as pixels_module
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.convert import convert
from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.detection.store import cache_key
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Table
from spdbuild.data.detection.tiles import TileOptions, cut
from spdbuild.errors import ArgumentError


def strip(*boxes: tuple[float, float, float, float], **fields: Any) -> DetectionSet:
    """An image of 100 x 40 pixels with objects; windows of 40 with an overlap of a quarter begin at 0, 30 and 60."""
    table = Table(("thing",), (1,))
    table.images.append(ImageRecord(7, "films/a.jpg", None, 100, 40))
    for box in boxes:
        table.add(0, box, 0, **fields)
    ramp = np.arange(100 * 40 * 3, dtype=np.uint32).reshape(40, 100, 3) % 251
    return replace(table.build(), draw=lambda image: ramp.astype(np.uint8))


def boxes(dataset: DetectionSet, window: int) -> list[list[float]]:
    return dataset.of_image(window).boxes_xyxy.tolist()


def test_windows_have_names_places_and_ids_of_their_own() -> None:
    tiles = cut(strip(), 40, 0.25, 0.3)
    assert [image.name for image in tiles.dataset.images] == [f"films/a_{left}_0.png" for left in (0, 30, 60)]
    assert [image.id for image in tiles.dataset.images] == [1, 2, 3]
    assert tiles.sources.tolist() == [0, 0, 0]
    assert [(image.left, image.top, image.width, image.height) for image in tiles.dataset.images] == [
        (0, 0, 40, 40),
        (30, 0, 40, 40),
        (60, 0, 40, 40),
    ]


def test_a_window_shows_the_pixels_of_its_place() -> None:
    whole = strip()
    tiles = cut(whole, 40, 0.25, 0.3)
    pixels = read_pixels(whole, 0)
    for index, left in enumerate((0, 30, 60)):
        assert np.array_equal(read_pixels(tiles.dataset, index), pixels[:, left : left + 40])  # type: ignore[index]


def test_objects_are_cut_at_the_border_and_parts_that_are_too_small_are_ignored() -> None:
    # 8 of its 20 pixels lie in the first window, all in the second and none in the third.
    tiles = cut(strip((32, 10, 52, 30)), 40, 0.25, 0.5)
    assert [boxes(tiles.dataset, window) for window in range(3)] == [[[32, 10, 40, 30]], [[2, 10, 22, 30]], []]
    assert tiles.dataset.objects.ignored.tolist() == [True, False]
    assert tiles.dataset.objects.area.tolist() == [160, 400]
    assert cut(strip((32, 10, 52, 30)), 40, 0.25, 0.4).dataset.objects.ignored.tolist() == [False, False]


def test_what_reaches_out_of_the_image_is_no_part_that_is_missing() -> None:
    tiles = cut(strip((-20, 10, 20, 30)), 40, 0.25, 1.0)
    assert boxes(tiles.dataset, 0) == [[0, 10, 20, 30]]
    assert not tiles.dataset.objects.ignored.any()


def test_crowds_and_ignored_objects_stay_what_they_are() -> None:
    tiles = cut(strip((5, 5, 95, 35), crowd=True), 40, 0.25, 0.3)
    assert tiles.dataset.objects.crowd.all()
    assert cut(strip((5, 5, 20, 35), ignored=True), 40, 0.25, 0.3).dataset.objects.ignored.all()


def test_an_image_no_larger_than_a_window_is_as_it_was() -> None:
    dataset = strip((32, 10, 52, 30), (7, 7, 7, 9))
    tiles = cut(dataset, 100, 0.25, 0.3)
    assert [replace(image, id=7) for image in tiles.dataset.images] == list(dataset.images)
    assert boxes(tiles.dataset, 0) == boxes(dataset, 0)
    assert not tiles.cut.any()


def test_an_image_may_be_looked_at_whole_behind_its_windows() -> None:
    dataset = strip((32, 10, 52, 30))
    tiles = cut(dataset, 40, 0.25, 0.3, whole=True)
    assert [image.name for image in tiles.dataset.images][3:] == ["films/a.jpg"]
    assert tiles.cut.tolist() == [True, True, True, False]
    assert boxes(tiles.dataset, 3) == boxes(dataset, 0)
    assert np.array_equal(read_pixels(tiles.dataset, 3), read_pixels(dataset, 0))  # type: ignore[arg-type]


def test_outlines_are_cut_with_their_objects() -> None:
    diamond = np.array(((30, 20), (40, 10), (50, 20), (40, 30)), np.float64)
    tiles = cut(strip((30, 10, 50, 30), outline=(diamond,)), 40, 0.25, 0.3)
    (left,), (whole,) = tiles.dataset.objects.outlines[0], tiles.dataset.objects.outlines[1]
    assert set(map(tuple, left.tolist())) == {(30, 20), (40, 10), (40, 30)}
    assert (whole + (30, 0)).tolist() == diamond.tolist()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("text", [False, True], ids=["numbers", "text"])
def test_masks_of_run_lengths_are_cut_with_their_objects(text: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, (40, 100), np.uint8)
    encoded = run_lengths.encode(np.asfortranarray(pixels))
    changes = np.flatnonzero(np.diff(np.concatenate(([0], pixels.T.ravel(), [2]))))
    counts = encoded["counts"].decode() if text else np.diff(np.concatenate(([0], changes))).tolist()
    mask = json.dumps({"size": [40, 100], "counts": counts})
    tiles = cut(strip((0, 0, 100, 40), crowd=True, mask=mask), 40, 0.25, 0.3)
    for window, left in enumerate((0, 30, 60)):
        found = run_lengths.decode(json.loads(tiles.dataset.objects.masks[window]))
        assert np.array_equal(found, pixels[:, left : left + 40])


def test_painted_objects_are_where_the_labels_of_the_windows_say(
    painted: DetectionSet, colours: NDArray[np.uint8]
) -> None:
    tiles = cut(painted, 64, 0.2, 0.0)
    seen = 0
    for index in range(len(tiles.dataset)):
        pixels, objects = read_pixels(tiles.dataset, index), tiles.dataset.of_image(index)
        colour = colours[int(tiles.sources[index])]
        rows, columns = np.nonzero((pixels == colour).all(axis=2))  # type: ignore[union-attr]
        if not len(rows):
            assert not len(objects)
            continue
        seen += 1
        extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert objects.boxes_xyxy.tolist() == [extent]
        assert objects.area == pytest.approx((extent[2] - extent[0]) * (extent[3] - extent[1]))
    assert seen > len(painted)


def test_training_keeps_windows_with_objects_and_some_without() -> None:
    # Windows begin at 0, 90, 180, ..., 900; objects lie in the first, and on the cut between the last two.
    table = Table(("thing",), (1,))
    table.images.append(ImageRecord(1, "a.png", None, 1000, 100))
    table.images.append(ImageRecord(2, "b.png", None, 100, 100))
    table.add(0, (10, 10, 50, 50), 0)
    table.add(0, (880, 10, 905, 50), 0)
    tiles = cut(table.build(), 100, 0.1, 0.9)
    assert len(tiles.dataset) == 12
    kept = [image.name for image in tiles.to_learn(0).images]
    # What shows only a part is left out, and an image of its own stays, though it has no object.
    assert kept == ["a_0_0.png", "a_810_0.png", "b.png"]
    assert len(tiles.to_learn(0.5).images) == len(kept) + 1
    everything = tiles.to_learn(100)
    assert [image.name for image in everything.images if image.name == "a_900_0.png"] == []
    assert len(everything) == 11


def test_a_written_data_set_has_the_windows_and_reads_each_image_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 100, 3), np.uint8)
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    table = Table(("thing",), (1,))
    table.images.append(ImageRecord(1, "a.png", file, 100, 40))
    table.add(0, (32, 10, 52, 30), 0)
    tiles = cut(table.build(), 40, 0.25, 0.5)
    reads: list[Path] = []
    read_file = pixels_module.read_file
    monkeypatch.setattr(pixels_module, "read_file", lambda path, *_: reads.append(path) or read_file(path))
    convert({"train": tiles.dataset}, "coco", tmp_path / "out")
    assert reads == [file]
    written = read_coco(tmp_path / "out" / "annotations" / "train.json", tmp_path / "out" / "images" / "train")
    assert [boxes(written, window) for window in range(3)] == [[[32, 10, 40, 30]], [[2, 10, 22, 30]], []]
    # A part that is too small hides detections there, as a crowd does.
    assert written.objects.crowd.tolist() == [True, False]
    for index, left in enumerate((0, 30, 60)):
        assert np.array_equal(read_pixels(written, index), pixels[:, left : left + 40])  # type: ignore[arg-type]


def test_cached_windows_are_not_those_of_other_places(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.zeros((40, 100, 3), np.uint8)).save(file)
    table = Table(("thing",), (1,))
    table.images.append(ImageRecord(1, "a.png", file, 100, 40))
    dataset = table.build()
    lefts = [cut(dataset, 40, overlap, 0.3).dataset for overlap in (0.25, 0.5)]
    keys = [cache_key(part, 64) for part in (*lefts, lefts[1].subset([0, 2, 3]), dataset)]
    assert len(set(keys)) == 4


def test_an_image_of_another_size_is_a_finding_in_all_its_windows(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(np.zeros((40, 90, 3), np.uint8)).save(file)
    table = Table(("thing",), (1,))
    table.images.append(ImageRecord(1, "a.png", file, 100, 40))
    found = [str(read_pixels(cut(table.build(), 40, 0.25, 0.3).dataset, index)) for index in range(3)]
    assert found == [f"{file}: is 90x40 pixels, but its annotations are for 100x40"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 16}, "size must be at least 32, got 16"),
        ({"overlap": 1.0}, "overlap must be at least 0 and less than 1, got 1.0"),
        ({"min_visible": 1.5}, "min_visible must be between 0 and 1, got 1.5"),
        ({"background": -1.0}, "background must be at least 0, got -1.0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        TileOptions(**options)  # type: ignore[arg-type]
    assert str(caught.value) == f"error: {message}"
