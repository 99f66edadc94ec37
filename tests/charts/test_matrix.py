"""Matrices of counts, looked at pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from spdbuild.charts.canvas import text_width
from spdbuild.charts.matrix import draw_matrix

#: Of few classes: sides of a cell and top of the first row, in pixels of the picture.
CELL, TOP = 128, 124


def test_a_matrix_is_darkest_where_the_counts_are() -> None:
    picture = draw_matrix("Confusion", [[9, 1], [0, 10]], ["cat", "dog"], ["cat", "dog"]).convert("L")
    left = round(2 * (16 + 20 + max(map(text_width, ("cat", "dog"))) + 6))
    shades = [[picture.getpixel((left + CELL * j + 10, TOP + CELL * i + 10)) for j in (0, 1)] for i in (0, 1)]
    assert shades[1][1] < shades[0][0] < shades[0][1] < shades[1][0] == 255


def test_counts_stand_in_the_middle_of_their_cells() -> None:
    picture = np.asarray(draw_matrix("Confusion", [[88]], ["a"], ["a"]).convert("L"))
    left = round(2 * (42 + text_width("a")))
    cell = picture[TOP + 6 : TOP + CELL - 6, left + 6 : left + CELL - 6]
    digits = np.argwhere(cell > cell[0, 0] + 40)
    assert digits.mean(axis=0) == pytest.approx([CELL / 2 - 6, CELL / 2 - 6], abs=3)


def test_columns_are_named_level_where_they_fit_and_upright_where_not() -> None:
    short, long = (
        np.asarray(draw_matrix("", [[1, 0], [0, 1]], ["a", "b"], [name, name]).convert("L"))
        for name in ("fits", "a name far longer than a cell")
    )
    assert long.shape[0] > short.shape[0] + 100


def test_every_class_of_80_has_its_name_at_both_sides() -> None:
    names = [f"class {number}" for number in range(80)]
    counts = np.eye(80).tolist()
    named = np.asarray(draw_matrix("", counts, names, names).convert("L"))
    bare = np.asarray(draw_matrix("", counts, ["." * 15] * 80, ["." * 15] * 80).convert("L"))
    cell, left = 2 * 1100 / 80, 2 * (42 + max(text_width(name, 10.75) for name in names))
    inked = [
        (named[round(TOP + k * cell) + 4 : round(TOP + (k + 1) * cell) - 4, 80 : int(left) - 8] < 120).any()
        for k in range(80)
    ]
    assert all(inked)
    foot = named[round(TOP + 80 * cell) + 10 : round(TOP + 80 * cell) + 60]
    assert all((foot[:, round(left + k * cell) + 2 : round(left + (k + 1) * cell) + 2] < 120).any() for k in range(80))
    assert bare.shape != named.shape


def test_outputs_beyond_the_classes_have_columns() -> None:
    wide = draw_matrix("", [[1, 0, 2], [0, 1, 0]], ["a", "b"], ["a", "b", "c"]).convert("L")
    left = round(2 * (42 + text_width("b")))
    shades = [wide.getpixel((left + CELL * j + 10, TOP + 10)) for j in range(3)]
    assert shades[2] < shades[0] < shades[1] == 255


def test_the_key_runs_from_dark_to_white() -> None:
    picture = draw_matrix("", np.eye(10).tolist(), list("abcdefghij"), list("abcdefghij")).convert("L")
    left = 2 * (42 + max(text_width(name) for name in "abcdefghij") + 10 * 44 + 24 + 6)
    shades = [picture.getpixel((round(left), TOP + 4 * step)) for step in range(100)]
    assert shades == sorted(shades)
    assert shades[0] < 60
    assert shades[-1] > 230


def test_a_large_matrix_stays_a_picture_of_usual_size() -> None:
    names = [f"n{number:08}" for number in range(300)]
    assert max(draw_matrix("", np.eye(300).tolist(), names, names).size) < 3000


@pytest.mark.parametrize(
    "names", [["a\nb", "c\rd"], ["a long name of\ntwo lines", "another\x1b[2J\n"]], ids=["short", "long"]
)
def test_a_name_of_two_lines_is_written_in_one(names: list[str]) -> None:
    escaped = [name.encode("unicode_escape").decode() for name in names]
    raw, shown = (draw_matrix("", [[1, 0], [0, 1]], those, those) for those in (names, escaped))
    assert (np.asarray(raw) == np.asarray(shown)).all()


def test_long_names_that_differ_at_their_ends_stay_different() -> None:
    names = [f"a class whose name is far too long, of the {end}" for end in ("north", "south")]
    pictures = [np.asarray(draw_matrix("", [[1, 0]], [name], ["a", "b"])) for name in names]
    assert (pictures[0] != pictures[1]).any()


def test_a_matrix_of_a_thousand_classes_has_pixels_that_one_can_open() -> None:
    picture = draw_matrix("", np.eye(1000), ["a"] * 1000, ["a"] * 1000)
    assert max(picture.size) < 5000
    # Cells of 4 pixels: the first is dark, its neighbour is white.
    left = round(2 * (42 + text_width("a", 9)))
    assert picture.getpixel((left + 2, TOP + 2)) == (8, 48, 107)
    assert picture.getpixel((left + 6, TOP + 2)) == (255, 255, 255)
