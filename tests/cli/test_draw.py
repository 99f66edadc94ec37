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


def test_against_another_network_what_differs_is_marked(run, tiny: Path):
    Path("new.yaml").write_text(tiny.read_text().replace("pool: max_pool(2, stride=2)", "silu()"))
    marks = {"silu": "new", "global_avg_pool": "changed"}
    note = "against tiny: 1 layers changed (orange), 1 new (blue), 1 gone"
    assert run("draw", "new.yaml", "--against", tiny).stdout == diagram_svg(load("new.yaml").graph, 2, marks, note)


def test_against_itself_nothing_is_marked(run, tiny: Path):
    note = "against tiny: 0 layers changed (orange), 0 new (blue), 0 gone"
    assert run("draw", tiny, "--against", tiny).stdout == diagram_svg(load(tiny).graph, note=note)
