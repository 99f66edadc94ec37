"""`spdbuild draw`."""

from __future__ import annotations

from pathlib import Path

from spdbuild import load
from spdbuild.diagram import diagram_svg


def test_the_picture_goes_to_stdout_or_to_a_file(run, tiny: Path):
    expected = diagram_svg(load(tiny).graph)
    assert run("draw", tiny).stdout == expected
    result = run("draw", tiny, "-o", "tiny.svg")
    assert (result.stdout, result.stderr) == ("", "wrote tiny.svg\n")
    assert Path("tiny.svg").read_text() == expected


def test_the_depth_is_that_of_the_blocks(run, tiny: Path):
    assert run("draw", tiny, "--depth", "1").stdout == diagram_svg(load(tiny).graph, depth=1)
