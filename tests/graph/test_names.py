"""Names of layers as ways through blocks."""

from __future__ import annotations

from spdbuild.graph.names import block_name, free_name, name_parts


def test_a_repeat_is_no_level_of_its_own():
    assert name_parts("stage1.rest.0.norm") == ["stage1", "rest.0", "norm"]


def test_a_layer_that_is_not_as_deep_is_its_own_block():
    assert [block_name("stage1.rest.0.norm", depth) for depth in (1, 2, 9)] == [
        "stage1",
        "stage1.rest.0",
        "stage1.rest.0.norm",
    ]


def test_a_taken_name_gets_the_first_free_number() -> None:
    assert free_name("block", set()) == "block"
    assert free_name("block", {"block", "block_2"}) == "block_3"
