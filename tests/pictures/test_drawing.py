from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.errors import InputError
from spdbuild.pictures.drawing import arrange, captioned, class_colour, draw_bars, draw_boxes, write_png


def test_a_frame_leaves_what_is_in_the_box_as_it_is() -> None:
    image = Image.new("RGB", (800, 50), (9, 9, 9))
    drawn = np.asarray(draw_boxes(image, [(10, 20, 30, 40)], [""], [(255, 0, 0)]))
    red = (drawn == (255, 0, 0)).all(axis=2)
    wanted = np.zeros((50, 800), bool)
    wanted[18:42, 8:32] = True
    wanted[20:40, 10:30] = False
    assert (red == wanted).all()
    assert (np.asarray(image) == 9).all()


@pytest.mark.parametrize("box", [(-20, -30, 10, 12), (50, 40, 90, 80), (5, 5, 5, 5), (20.2, 30.7, 20.4, 30.9)])
def test_boxes_at_the_border_and_without_area_are_drawn_too(box: tuple[float, ...]) -> None:
    drawn = draw_boxes(Image.new("RGB", (60, 50)), [box], ["a name that is too long"], [(255, 0, 0)])
    assert drawn.size == (60, 50)
    assert (np.asarray(drawn)[:, :, 0] == 255).any()


def test_neighbouring_classes_have_colours_that_differ() -> None:
    colours = np.array([class_colour(class_) for class_ in range(20)])
    assert np.abs(np.diff(colours, axis=0)).max(axis=1).min() > 80
    assert len({tuple(colour) for colour in colours.tolist()}) == 20


def test_rows_are_as_high_as_their_highest_image() -> None:
    images = [Image.new("RGB", size, (1, 2, 3)) for size in ((10, 30), (20, 10), (15, 5))]
    sheet = arrange(images, columns=2)
    assert sheet.size == (2 * 24 + 4, 4 + 30 + 4 + 5 + 4)
    assert sheet.getpixel((4, 38)) == (1, 2, 3)


def test_a_caption_stands_below_the_image_and_ends_where_the_paper_does() -> None:
    image = Image.new("RGB", (60, 20), (1, 2, 3))
    short, long = captioned(image, "cat"), captioned(image, "a very long name of a class")
    assert short.size == long.size == (60, short.height)
    for paper in (short, long):
        assert paper.crop((0, 0, 60, 20)).tobytes() == image.tobytes()
        assert np.asarray(paper)[20:].min() < 128
    middle = captioned(image, "", width=100)
    assert [middle.getpixel((x, 5)) for x in (19, 20, 79, 80)] == [
        (255, 255, 255),
        (1, 2, 3),
        (1, 2, 3),
        (255, 255, 255),
    ]


def test_bars_are_as_long_as_their_values() -> None:
    pixels = np.asarray(draw_bars("title", {"one": 1, "two": 2, "none": 0}))
    lengths = [(pixels[row] == (31, 119, 180)).all(axis=1).sum() for row in (34 + 6, 52 + 6, 70 + 6)]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=2)
    assert lengths[2] <= 1


def test_a_picture_is_written_whole_or_refused(tmp_path: Path) -> None:
    write_png(Image.new("RGB", (3, 2)), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (3, 2)
    with pytest.raises(InputError, match="cannot be written"):
        write_png(Image.new("RGB", (3, 2)), tmp_path / "nowhere" / "a.png")


def test_a_caption_that_is_too_long_keeps_its_beginning_and_its_end() -> None:
    image = Image.new("RGB", (160, 20), (1, 2, 3))
    shown = [captioned(image, f"{first} as {'a very long name of a ' * 2}class {last}") for first, last in TEXTS]
    assert len({paper.tobytes() for paper in shown}) == len(TEXTS)


#: They differ in their beginning alone, and in their end alone.
TEXTS = [("seen", "93%"), ("read", "93%"), ("seen", "12%")]


def test_every_line_of_a_caption_has_room() -> None:
    image = Image.new("RGB", (60, 20), (1, 2, 3))
    one, two = captioned(image, "cat"), captioned(image, "cat", "dog")
    assert two.height - one.height == one.height - 20
    assert two.crop((0, 0, 60, one.height)).tobytes() == one.tobytes()
    assert np.asarray(two)[one.height :].min() < 128


def test_a_text_of_two_lines_is_written_in_one() -> None:
    image = Image.new("RGB", (80, 40), (1, 2, 3))
    assert captioned(image, "a\nb").tobytes() == captioned(image, "a\\nb").tobytes()


@pytest.mark.parametrize(
    "names",
    [
        [f"a class whose name is far too long, of the {end}" for end in ("north", "south")],
        # Narrow letters: there is room for more of them.
        ["i" * 32 + end for end in "jl"],
    ],
    ids=["long", "narrow"],
)
def test_names_of_bars_are_cut_by_their_width_and_in_the_middle(names: list[str]) -> None:
    pictures = [np.asarray(draw_bars("", {name: 1})) for name in names]
    assert (pictures[0] != pictures[1]).any()
    assert (np.asarray(draw_bars("", {"W" * 60: 1}))[34:52, 172:179] == 255).all()
