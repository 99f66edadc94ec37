"""A network as an SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import spdbuild
from spdbuild.diagram import diagram_svg
from spdbuild.diagram.svg import CHANGED, NEW, PLAIN, SPD, STRIDED

SVG = "{http://www.w3.org/2000/svg}"


def fills(text: str) -> dict[str, str]:
    """Fill of each box by what its first line says."""
    groups = ElementTree.fromstring(text).findall(f"{SVG}g/{SVG}g")
    return {group.findtext(f"{SVG}text", ""): group.find(f"{SVG}rect").attrib["fill"] for group in groups}


def test_every_block_is_a_box():
    assert list(fills(diagram_svg(spdbuild.load("resnet18").graph, depth=1))) == [
        *("image", "stem", "relu", "pool", "stage1", "stage2", "stage3", "stage4", "global_avg_pool", "head")
    ]


def test_deep_enough_every_layer_is_a_box():
    graph = spdbuild.load("resnet18").graph
    assert list(fills(diagram_svg(graph, depth=9))) == graph.names


def test_colours_tell_what_skips_pixels():
    before = spdbuild.load("resnet18")
    after, _ = spdbuild.convert(before)
    strided, converted = fills(diagram_svg(before.graph, 1)), fills(diagram_svg(after.graph, 1))
    assert (strided["stem"], strided["stage1"], strided["stage2"]) == (STRIDED, PLAIN, STRIDED)
    assert (converted["stem"], converted["stage1"], converted["stage2"]) == (SPD, PLAIN, SPD)


def test_a_line_for_every_pair_of_blocks_that_read_each_other():
    text = diagram_svg(spdbuild.load("yolov5", variant="n").graph, depth=1)
    # image -> backbone -> neck -> head, each read by the next alone.
    assert len(ElementTree.fromstring(text).findall(f"{SVG}g/{SVG}path")) == 3


@pytest.mark.parametrize("name", ["densenet121", "convnext_tiny", "efficientnet_b0"])
def test_every_layer_of_a_large_network_can_be_drawn(name: str):
    graph = spdbuild.load(name).graph
    assert list(fills(diagram_svg(graph, depth=9)).values()).count(SPD) == 0


def test_texts_are_escaped():
    graph = spdbuild.load("resnet18").graph
    graph.name = "<script>&"
    assert "&lt;script&gt;&amp;" in diagram_svg(graph)


def test_marked_layers_give_their_box_a_frame():
    graph = spdbuild.load("resnet18").graph
    marks = {"stem.conv": "changed", "pool": "new", "head": "changed"}
    root = ElementTree.fromstring(diagram_svg(graph, 1, marks, note="2 layers are gone"))
    frames = {
        group.findtext(f"{SVG}text", ""): group.find(f"{SVG}rect").get("style")
        for group in root.findall(f"{SVG}g/{SVG}g")
    }
    assert {name: style for name, style in frames.items() if style} == {
        "stem": f"stroke:{CHANGED};stroke-width:3",
        "pool": f"stroke:{NEW};stroke-width:3",
        "head": f"stroke:{CHANGED};stroke-width:3",
    }
    assert root.findall(f"{SVG}text")[-1].text == "2 layers are gone"
