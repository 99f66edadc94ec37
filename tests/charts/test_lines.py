"""Charts, looked at pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spdbuild.charts.chart import Chart, Line
from spdbuild.charts.lines import _COLOURS, draw_chart

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


def test_a_missing_value_is_bridged_and_one_that_is_no_number_interrupts() -> None:
    counts = []
    for value in (0.5, None, math.nan, math.inf):
        picture = draw_chart(chart(train=Line([1, 2, 3, 4, 5], [0.5, 0.5, value, 0.5, 0.5])))
        counts.append(len(places(picture, BLUE)))
    assert counts[0] == counts[1]
    assert counts[2] == counts[3] == pytest.approx(counts[0] / 2, rel=0.02)


def test_the_only_value_is_a_dot() -> None:
    found = places(draw_chart(chart(test=Line([1], [0.5]))), BLUE)
    assert np.ptp(found, axis=0).tolist() == pytest.approx([15, 15], abs=3)


def test_the_legend_has_strokes_and_a_single_line_needs_none() -> None:
    one, two = ({name: Line([1, 2], [0.1, 0.1]) for name in names} for names in (("a",), ("a", "b")))
    above = [np.asarray(draw_chart(chart(**lines)))[60:100] for lines in (one, two)]
    counts = [[int((rows == colour).all(axis=2).sum()) for colour in (BLUE, RED)] for rows in above]
    assert counts[0] == [0, 0]
    assert min(counts[1]) > 80


def test_the_only_line_of_several_that_has_values_is_named() -> None:
    picture = draw_chart(chart(train=Line([1, 2], [0.1, 0.1]), test=Line([1, 2], [None, None])))
    assert (np.asarray(picture)[60:100] == BLUE).all(axis=2).sum() > 80


#: Severe deuteranomaly and protanomaly in linear RGB: Machado, Oliveira and Fernandes (2009), table 1.
DEUTAN = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
PROTAN = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
#: Linear sRGB to XYZ over the white of D65: IEC 61966-2-1.
XYZ = np.array(((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)))
WHITE = np.array((0.9505, 1, 1.089))


def linear(colours: tuple[str, ...]) -> NDArray[np.float64]:
    """[C, 3] of hexadecimal colours."""
    values = np.array([[int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)] for colour in colours])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("seen", [np.eye(3), np.array(DEUTAN), np.array(PROTAN)], ids=["all", "deutan", "protan"])
def test_the_first_colours_differ_for_everyone(seen: NDArray[np.float64]) -> None:
    xyz = np.clip(linear(_COLOURS[:4]) @ seen.T, 0, 1) @ XYZ.T / WHITE
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab, axis=2)
    assert distances[~np.eye(4, dtype=bool)].min() >= 29


def test_every_colour_stands_out_from_white() -> None:
    assert len(set(_COLOURS)) == len(_COLOURS)
    # The contrast of WCAG 2.1.
    luminance = linear(_COLOURS) @ XYZ[1]
    assert (1.05 / (luminance + 0.05)).min() > 2.1


def test_a_run_to_compare_with_is_dashed_in_the_colour_of_its_kind() -> None:
    whole = places(draw_chart(chart(a=Line([1, 2], [0.9, 0.9], "AP"))), BLUE)
    both = draw_chart(chart(a=Line([1, 2], [0.9, 0.9], "AP"), b=Line([1, 2], [0.1, 0.1], "AP", run=1)))
    found = places(both, BLUE)
    dashed = found[found[:, 0] > 300]
    assert 0.4 * len(whole) < len(dashed) < 0.8 * len(whole)
    assert not len(places(both, RED))


def test_no_two_runs_are_drawn_alike() -> None:
    pictures = [draw_chart(chart(a=Line([1, 2], [0.5, 0.5], run=run))).tobytes() for run in range(9)]
    assert len(set(pictures)) == 9


def test_a_line_of_many_epochs_shows_means_of_them() -> None:
    epochs = range(1, 1001)
    jagged, calm = (Line(epochs, [0.5 + way * (-1) ** epoch for epoch in epochs]) for way in (0.4, 0))
    assert (np.asarray(draw_chart(chart(a=jagged)))[PLOT] == np.asarray(draw_chart(chart(a=calm)))[PLOT]).all()
    few = Line(range(1, 301), [0.5 + 0.4 * (-1) ** epoch for epoch in range(300)])
    assert np.ptp(places(draw_chart(chart(a=few)), BLUE)[:, 0]) > 300


def test_the_axis_of_many_epochs_ends_at_the_last_and_tells_of_means() -> None:
    many = draw_chart(chart(a=Line(range(1, 1001), [0.5] * 1000)))
    name = "epoch (each point the mean of up to 4)"
    two = draw_chart(Chart("", name, "", {"a": Line([1, 1000], [0.5, 0.5])}, "epochs", "share"))
    assert (np.asarray(many)[PLOT.stop + 5 :] == np.asarray(two)[PLOT.stop + 5 :]).all()


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
