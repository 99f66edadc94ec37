"""Charts, looked at pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spdbuild.charts.chart import Chart, Line
from spdbuild.charts.lines import draw_chart

BLUE, RED, BLACK = (0x1F, 0x77, 0xB4), (0xD6, 0x27, 0x28), (0x22, 0x22, 0x22)
#: Rows below the legend, above the numbers of the x axis.
PLOT = slice(125, 692)


def chart(**lines: Line) -> Chart:
    return Chart("Accuracy", "epoch", "share", lines, "epochs", "share")


def places(picture: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.int64]:
    """[P, 2] rows and columns of the pixels of a colour in the plot."""
    return np.argwhere((np.asarray(picture)[PLOT] == colour).all(axis=2))


def test_a_rising_line_rises_from_left_to_right() -> None:
    found = places(draw_chart(chart(test=Line([1, 2, 3], [0.0, 0.5, 1.0]))), BLUE)
    left, right = found[found[:, 1].argmin()], found[found[:, 1].argmax()]
    assert left[0] > right[0] + 400
    assert right[1] > left[1] + 1000


def test_lines_are_smooth() -> None:
    picture = np.asarray(draw_chart(chart(test=Line([1, 2, 3], [0.0, 0.9, 1.0]))))[PLOT]
    mixed = np.unique(picture[:, 300:500].reshape(-1, 3), axis=0)
    assert sum(red < green < blue for red, green, blue in mixed.tolist()) > 3


def test_missing_and_infinite_values_are_left_out() -> None:
    lines = {"test": Line([1, 2, 3], [None, math.inf, math.nan]), "train": Line([1, 2, 3], [0.5, None, 0.5])}
    picture = draw_chart(chart(**lines))
    assert len(places(picture, BLUE)) > 1000
    assert not len(places(picture, RED))


def test_the_only_value_is_a_dot() -> None:
    found = places(draw_chart(chart(test=Line([1], [0.5]))), BLUE)
    assert np.ptp(found, axis=0).tolist() == pytest.approx([15, 15], abs=3)


def test_the_legend_has_strokes_and_a_single_line_needs_none() -> None:
    one, two = ({name: Line([1, 2], [0.1, 0.1]) for name in names} for names in (("a",), ("a", "b")))
    above = [np.asarray(draw_chart(chart(**lines)))[60:100] for lines in (one, two)]
    counts = [[int((rows == colour).all(axis=2).sum()) for colour in (BLUE, RED)] for rows in above]
    assert counts[0] == [0, 0]
    assert min(counts[1]) > 80


def test_a_run_to_compare_with_is_dashed_in_the_colour_of_its_kind() -> None:
    whole = places(draw_chart(chart(a=Line([1, 2], [0.9, 0.9], "AP"))), BLUE)
    both = draw_chart(chart(a=Line([1, 2], [0.9, 0.9], "AP"), b=Line([1, 2], [0.1, 0.1], "AP", run=1)))
    found = places(both, BLUE)
    dashed = found[found[:, 0] > 300]
    assert 0.4 * len(whole) < len(dashed) < 0.8 * len(whole)
    assert not len(places(both, RED))


def test_many_lines_are_named_beside_the_plot_and_the_thick_one_lies_above() -> None:
    lines = {f"class {k}": Line([1, 2], [0.5, 0.5]) for k in range(20)}
    picture = draw_chart(chart(**{"mean": Line([1, 2], [0.5, 0.5], thick=True), **lines}))
    assert picture.width > 1280
    assert picture.height > 800
    in_plot = np.asarray(picture)[150:600, 200:1200]
    assert (in_plot == BLACK).all(axis=2).sum() > 4000
    assert not (in_plot == BLUE).all(axis=2).any()


def test_names_that_are_too_long_for_a_row_stand_beside_the_plot() -> None:
    long = {f"quickstart ({key}=[strided_to_spd(placement=after, after=conv)])": Line([0, 1], [0, 1]) for key in "ab"}
    assert draw_chart(Chart("title", "x", "y", long)).width > 1280
    assert draw_chart(chart(a=Line([0, 1], [0, 1]), b=Line([0, 1], [1, 0]))).width == 1280


def test_the_names_of_the_axes_are_written() -> None:
    named, bare = (
        np.asarray(draw_chart(Chart("Loss", x, y, {"a": Line([1, 2], [1, 2])}, "epochs")))
        for x, y in (("epoch", "loss"), ("", ""))
    )
    differing = np.argwhere((named != bare).any(axis=2))
    below, beside = differing[differing[:, 0] > 740], differing[differing[:, 1] < 50]
    assert np.ptp(below[:, 1]) > np.ptp(below[:, 0])
    assert np.ptp(beside[:, 0]) > np.ptp(beside[:, 1])
    assert len(below) + len(beside) == len(differing)


def test_a_name_of_two_lines_is_written_in_one() -> None:
    raw, shown = (
        draw_chart(chart(**{f"Hund{end}zwei": Line([1, 2], [0.1, 0.2]), "b": Line([1, 2], [0.3, 0.4])}))
        for end in ("\n", "\\n")
    )
    assert (np.asarray(raw) == np.asarray(shown)).all()
