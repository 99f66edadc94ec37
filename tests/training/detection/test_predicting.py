"""What a trained detector writes about pictures."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.detection.table import Pixels
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError, InputError, SpdbuildError
from spdbuild.training.detection import video
from spdbuild.training.network.network import build_network
from spdbuild.training.recipe import load_recipe
from spdbuild.training.report.outputs import Outputs
from spdbuild.training.running.run import train
from spdbuild.training.task import Prediction
from spdbuild.training.trained.predict import predict, source_files, source_roots
from spdbuild.weights import save_weights
from spdbuild.weights.opening import read_weights

FOUND = (
    {"class": "a/b", "index": 1, "score": 0.75, "box": [4.0, 2.0, 12.0, 6.0]},
    {"class": "disc", "index": 0, "score": 0.5, "box": [0.0, 0.0, 2.5, 1.0]},
)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four generated pictures in files."""
    data = TinyObjects(images=24, size=64).open("val")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(4):
        pixels = read_pixels(data, index)
        assert isinstance(pixels, np.ndarray)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def prediction(name: str = "photo.jpg") -> Prediction:
    pixels = np.arange(16 * 8 * 3, dtype=np.uint8).reshape(8, 16, 3)
    return Prediction(Path(name), FOUND, pixels=pixels)


def test_boxes_lie_in_the_picture_and_the_best_come_first(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path / "runs", quiet=True)
    found = list(predict(done.folder, [pictures], ["task.seeing.nms.min_score=0.0001"]))
    assert [entry.file.name for entry in found] == ["0.png", "1.png", "2.png", "3.png"]
    things = [thing for entry in found for thing in entry.found]
    assert things
    for entry in found:
        scores = [thing["score"] for thing in entry.found]
        assert scores == sorted(scores, reverse=True)
    for thing in things:
        left, top, right, bottom = thing["box"]
        assert 0 <= left <= right <= 64
        assert 0 <= top <= bottom <= 64
        assert thing["class"] in ("disc", "ring", "square", "frame", "cross", "stripes")


def test_weights_that_name_no_classes_take_those_of_the_data(recipe: Path, pictures: Path, tmp_path: Path) -> None:
    done = train(recipe, ["epochs=1"], runs=tmp_path / "runs", quiet=True)
    bare = tmp_path / "bare.safetensors"
    best = read_weights(done.folder / "weights" / "last.safetensors")
    save_weights(bare, {name: torch.as_tensor(best[name]) for name in best}, {})
    options = ["task.seeing.nms.min_score=0.0001", "vars.classes=6"]
    (entry,) = predict(recipe, [pictures / "0.png"], options, weights=bare)
    assert {thing["class"] for thing in entry.found} <= {"disc", "ring", "square", "frame", "cross", "stripes"}
    gone = [*options, "data={name: coco, root: nowhere}"]
    (entry,) = predict(recipe, [pictures / "0.png"], gone, weights=bare)
    assert entry.found
    assert {thing["class"] for thing in entry.found} <= set("012345")


def test_every_form_says_the_same(tmp_path: Path) -> None:
    with Outputs(tmp_path, ("pictures", "crops", "txt", "json", "csv")) as outputs:
        outputs.add(prediction())
        outputs.add(prediction("other/photo.jpg"))
    with Image.open(tmp_path / "photo.png") as image:
        # Enlarged a whole number of times, to 512 pixels.
        assert image.size == (512, 256)
    assert (tmp_path / "photo-2.png").is_file()
    with Image.open(tmp_path / "crops" / "a_b" / "photo-1.png") as image:
        np.testing.assert_array_equal(np.asarray(image), prediction().pixels[2:6, 4:12])  # type: ignore[index]
    lines = (tmp_path / "labels" / "photo.txt").read_text().splitlines()
    assert lines[0] == "1 0.500000 0.500000 0.500000 0.500000 0.750000"
    entries = json.loads((tmp_path / "predictions.json").read_text())
    assert [entry["file"] for entry in entries] == ["photo.jpg", "other/photo.jpg"]
    assert (entries[0]["width"], entries[0]["height"]) == (16, 8)
    assert entries[0]["predictions"] == list(FOUND)
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert [rows[1][name] for name in ("class", "score", "left", "right")] == ["disc", "0.5", "0.0", "2.5"]


def test_a_second_file_of_a_name_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Outputs(tmp_path, ("txt",), [Path("photos")]) as outputs:
        for name in ("photos/a.jpg", "photos/a.png", "photos/b.png"):
            outputs.add(prediction(name))
        outputs.add(replace(prediction("photos/a.png"), frame=1))
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == [
        "a-000001.txt",
        "a-2.txt",
        "a.txt",
        "b.txt",
    ]
    assert caplog.messages == [f"warning: photos/a.png is called a-2 in {tmp_path}: photos/a.jpg has the same name"]


def test_a_crop_holds_all_of_its_box_and_nothing_outside_the_picture(tmp_path: Path) -> None:
    boxes = {
        (4.6, 2.6, 12.2, 6.2): (4, 2, 13, 7),
        (3.0, 1.0, 16.01, 8.01): (3, 1, 16, 8),
        (5.0, 5.0, 5.0, 5.0): (5, 5, 6, 6),
    }
    found = tuple({"class": "disc", "index": 0, "score": 0.5, "box": list(box)} for box in boxes)
    with Outputs(tmp_path, ("crops",)) as outputs:
        outputs.add(replace(prediction(), found=found))
    for number, (left, top, right, bottom) in enumerate(boxes.values(), start=1):
        with Image.open(tmp_path / "crops" / "disc" / f"photo-{number}.png") as image:
            expected = prediction().pixels[top:bottom, left:right]  # type: ignore[index]
            np.testing.assert_array_equal(np.asarray(image), expected)


def test_forms_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not written as 'text'"):
        Outputs(tmp_path, ("text",))
    labels_only = Prediction(Path("digit.png"), ({"class": "3", "index": 3, "score": 1.0},))
    for form in ("pictures", "crops", "txt"):
        with pytest.raises(InputError, match="a classifier finds no boxes"):
            Outputs(tmp_path, (form,)).add(labels_only)


def interrupted(folder: Path, seen: list[Prediction]) -> None:
    with Outputs(folder, ("json",)) as outputs:
        for entry in seen:
            outputs.add(entry)
        raise KeyboardInterrupt


def test_what_was_seen_before_an_error_is_written(tmp_path: Path) -> None:
    for name, seen in {"some": [prediction()], "none": []}.items():
        with pytest.raises(KeyboardInterrupt):
            interrupted(tmp_path / name, seen)
    assert len(json.loads((tmp_path / "some" / "predictions.json").read_text())) == 1
    assert not (tmp_path / "none").exists()


def test_folders_of_the_sources_are_folders_of_the_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "a").mkdir(parents=True)
    assert source_roots([Path("photos"), Path("photos/*/1.jpg"), Path("lone.jpg")]) == [Path("photos"), Path("photos")]
    with Outputs(tmp_path / "seen", ("txt",), source_roots([Path("photos")])) as outputs:
        for file in ("photos/a/1.jpg", "photos/b/1.jpg", "elsewhere/1.jpg", "photos/1.jpg"):
            outputs.add(prediction(file))
    labels = tmp_path / "seen" / "labels"
    found = sorted(path.relative_to(labels).as_posix() for path in labels.rglob("*.txt"))
    assert found == ["1-2.txt", "1.txt", "a/1.txt", "b/1.txt"]


def test_without_a_form_boxes_become_pictures_and_classes_a_table(tmp_path: Path) -> None:
    labels_only = Prediction(Path("digit.png"), ({"class": "3", "index": 3, "score": 1.0},))
    for name, seen in {"boxes": prediction(), "classes": labels_only}.items():
        with Outputs(tmp_path / name) as outputs:
            outputs.add(Prediction(Path("junk.png"), (), problem="junk.png: is damaged"))
            outputs.add(seen)
    assert [path.name for path in (tmp_path / "boxes").iterdir()] == ["photo.png"]
    assert (tmp_path / "classes" / "predictions.csv").read_text() == "file,frame,class,score\ndigit.png,,3,1.0\n"


def test_what_cannot_be_read_is_named_and_the_rest_is_seen(pictures: Path, tmp_path: Path, recipe: Path) -> None:
    (pictures / "1.png").write_bytes((pictures / "1.png").read_bytes()[:100])
    stored = load_recipe(recipe)
    model = build_network(stored, 6, None).module.eval()
    files = [pictures / "0.png", pictures / "1.png", pictures / "3.png"]
    found = list(stored.task.predict(stored, model, tuple("abcdef"), (3, 64, 64), files))
    assert [entry.file for entry in found] == files
    assert [bool(entry.problem) for entry in found] == [False, True, False]
    assert found[1].problem.startswith(f"{files[1]}: is damaged")
    assert found[1].to_dict()["error"] == found[1].problem


def test_patterns_stand_for_the_files_that_match(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_files([pictures / "[12].png"]) == [pictures / "1.png", pictures / "2.png"]
    monkeypatch.chdir(pictures.parent)
    assert source_files([Path("*/3.png")]) == [Path("pictures/3.png")]
    with pytest.raises(DataError, match=r"no file matches .*\.jpg"):
        source_files([pictures / "*.jpg"])


def test_what_is_hidden_in_a_folder_is_not_seen(pictures: Path) -> None:
    (pictures / ".thumbnails").mkdir()
    (pictures / ".thumbnails" / "0.png").touch()
    (pictures / "._0.png").touch()
    assert [path.name for path in source_files([pictures])] == ["0.png", "1.png", "2.png", "3.png"]


def test_the_pictures_of_a_film_are_numbered(
    recipe: Path, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames(file: Path) -> Iterator[torch.Tensor]:
        assert file.name == "film.mp4"
        for number in range(3):
            yield torch.full((3, 48, 64), number * 50, dtype=torch.uint8)

    monkeypatch.setattr(video, "read_frames", frames)
    done = train(recipe, ["epochs=1"], runs=tmp_path / "runs", quiet=True)
    film = tmp_path / "film.mp4"
    film.touch()
    found = list(predict(done.folder, [film, pictures / "0.png"]))
    assert [entry.frame for entry in found] == [0, 1, 2, None]
    pixels: Pixels | None = found[2].pixels
    assert pixels is not None
    assert (pixels == 100).all()


def test_films_without_pyav_are_refused_with_a_hint_before_anything_is_seen(
    recipe: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    stored = load_recipe(recipe)
    model = build_network(stored, 6, None).module.eval()
    files = [pictures / "0.png", Path("film.mp4")]
    with pytest.raises(SpdbuildError, match=r"(?s)reading videos needs PyAV.*spdbuild\[video\]"):
        next(stored.task.predict(stored, model, tuple("abcdef"), (3, 64, 64), files))


def test_the_pictures_of_a_film_are_those_that_were_filmed(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    shades = (0, 120, 250)
    with av.open(str(tmp_path / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in shades:
            picture = np.full((48, 64, 3), shade, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(stream.encode())
    frames = list(video.read_frames(tmp_path / "film.mp4"))
    assert [tuple(frame.shape) for frame in frames] == [(3, 48, 64)] * 3
    for frame, shade in zip(frames, shades, strict=True):
        assert abs(frame.float().mean() - shade) < 6
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "film.mp4").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cut\.mp4: this video cannot be read"):
        list(video.read_frames(tmp_path / "cut.mp4"))
