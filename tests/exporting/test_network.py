"""Which networks are detectors, whose maps become boxes in a file."""

from __future__ import annotations

import pytest

import spdbuild
from spdbuild.exporting.network import head_of_graph
from spdbuild.training.trained.stored_graph import stored_graph

LINES = """\
model: m
inputs: {image: [3, 32, 32]}
layers:
  - fine: conv2d(8, 8, stride=8, padding=0)
  - coarse: conv2d(8, 2, stride=2, padding=0)
  - boxes: detect(2, [[[10, 13]], [[30, 61]]]) <- fine, coarse
"""


@pytest.mark.parametrize(
    ("rest", "head"),
    [
        ("", "boxes"),
        ("outputs: [boxes.0, boxes.1]\n", "boxes"),
        ("outputs: [boxes.1, boxes.0]\n", None),
        ("outputs: [boxes.0]\n", None),
        ("  - others: detect(2, [[[10, 13]]]) <- fine\n", None),
    ],
    ids=["all maps", "all maps by name", "in another order", "one map", "two heads"],
)
def test_the_head_of_a_detector_gives_all_that_the_network_gives(rest: str, head: str | None) -> None:
    assert head_of_graph(spdbuild.load(LINES + rest).graph) == head


def test_a_long_text_is_no_name_of_a_folder() -> None:
    text = LINES + "# " + 300 * "-" + "\n"
    assert stored_graph(text).graph == spdbuild.load(LINES).graph
