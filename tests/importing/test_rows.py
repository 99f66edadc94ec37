"""Files of rows: the published networks with their counts, and the places of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spdbuild
from spdbuild.errors import SourceError
from spdbuild.text.kinds import is_row_file
from spdbuild.text.source import Source, parse_yaml
from spdbuild.weights import compile_rules, rename

ANCHORS = """\
nc: 80
depth_multiple: {depth}
width_multiple: {width}
anchors:
  - [10,13, 16,30, 33,23]
  - [30,61, 62,45, 59,119]
  - [116,90, 156,198, 373,326]
"""
#: REFERENCE of the published networks: 31 rows with space_to_depth, and their strided counterpart of 25.
SPD_ROWS = """\
backbone:
  [[-1, 1, Focus, [64, 3]],
   [-1, 1, Conv, [128, 3, 1]],
   [-1, 1, space_to_depth, [1]],
   [-1, 3, C3, [128]],
   [-1, 1, Conv, [256, 3, 1]],
   [-1, 1, space_to_depth, [1]],
   [-1, 6, C3, [256]],
   [-1, 1, Conv, [512, 3, 1]],
   [-1, 1, space_to_depth, [1]],
   [-1, 9, C3, [512]],
   [-1, 1, Conv, [1024, 3, 1]],
   [-1, 1, space_to_depth, [1]],
   [-1, 3, C3, [1024]],
   [-1, 1, SPPF, [1024, 5]]]
head:
  [[-1, 1, Conv, [512, 1, 1]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 9], 1, Concat, [1]],
   [-1, 3, C3, [512, False]],
   [-1, 1, Conv, [256, 1, 1]],
   [-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 6], 1, Concat, [1]],
   [-1, 3, C3, [256, False]],
   [-1, 1, Conv, [256, 3, 1]],
   [-1, 1, space_to_depth, [1]],
   [[-1, 18], 1, Concat, [1]],
   [-1, 3, C3, [512, False]],
   [-1, 1, Conv, [512, 3, 1]],
   [-1, 1, space_to_depth, [1]],
   [[-1, 14], 1, Concat, [1]],
   [-1, 3, C3, [1024, False]],
   [[21, 25, 29], 1, Detect, [nc, anchors]]]
"""
STRIDED_ROWS = """\
backbone:
  - [-1, 1, Conv, [64, 6, 2, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 3, C3, [128]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [-1, 6, C3, [256]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [-1, 9, C3, [512]]
  - [-1, 1, Conv, [1024, 3, 2]]
  - [-1, 3, C3, [1024]]
  - [-1, 1, SPPF, [1024, 5]]
head:
  - [-1, 1, Conv, [512, 1, 1]]
  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]
  - [[-1, 6], 1, Concat, [1]]
  - [-1, 3, C3, [512, False]]
  - [-1, 1, Conv, [256, 1, 1]]
  - [-1, 1, nn.Upsample, [None, 2, 'nearest']]
  - [[-1, 4], 1, Concat, [1]]
  - [-1, 3, C3, [256, False]]
  - [-1, 1, Conv, [256, 3, 2]]
  - [[-1, 14], 1, Concat, [1]]
  - [-1, 3, C3, [512, False]]
  - [-1, 1, Conv, [512, 3, 2]]
  - [[-1, 10], 1, Concat, [1]]
  - [-1, 3, C3, [1024, False]]
  - [[17, 20, 23], 1, Detect, [nc, anchors]]
"""
SIZES = {"n": (0.33, 0.25), "s": (0.33, 0.50), "m": (0.67, 0.75), "l": (1.0, 1.0)}
PARAMETERS = {
    SPD_ROWS: {"n": 2256157, "s": 8771389, "m": 24646557, "l": 52707709},
    STRIDED_ROWS: {"n": 1872157, "s": 7235389, "m": 21190557, "l": 46563709},
}
MACS = {SPD_ROWS: {"n": 4396748800, "s": 16867532800}, STRIDED_ROWS: {"n": 2234060800, "s": 8216780800}}


def imported(rows: str, size: str = "n") -> spdbuild.Architecture:
    depth, width = SIZES[size]
    return spdbuild.import_rows(Source("rows.yaml", ANCHORS.format(depth=depth, width=width) + rows))


def test_rows_are_text_or_the_path_of_a_file(tmp_path: Path) -> None:
    text = ANCHORS.format(depth=0.33, width=0.25) + SPD_ROWS
    file = tmp_path / "rows.yaml"
    file.write_text(text)
    for rows in (text, file, str(file)):
        assert spdbuild.import_rows(rows).graph == imported(SPD_ROWS).graph


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rows", [SPD_ROWS, STRIDED_ROWS], ids=["spd", "strided"])
def test_published_rows_have_the_published_counts(rows: str, size: str) -> None:
    graph = imported(rows, size).graph
    assert graph.parameters == PARAMETERS[rows][size]
    assert size not in MACS[rows] or graph.macs == MACS[rows][size]


@pytest.mark.parametrize("size", ["n", "m"])
def test_rows_give_the_network_that_the_package_knows(size: str) -> None:
    ours = spdbuild.load("yolov5", variant=size).graph
    theirs = imported(STRIDED_ROWS, size).graph
    assert [(node.op, node.shapes) for node in theirs.layers] == [(node.op, node.shapes) for node in ours.layers]


def test_multiples_of_one_are_no_scaling() -> None:
    text = imported(STRIDED_ROWS.replace("9, C3, [512]", "9, Bottleneck, [512]"), "l").text
    assert "depth_multiple" not in text
    assert "residual(512) * 9" in text


def test_layers_are_called_by_their_level() -> None:
    names = {node.name.split(".")[1] for node in imported(STRIDED_ROWS).graph.layers if node.parameters}
    assert {"stem", "down2", "p2", "p3", "p4", "p5", "pyramid5", "mix4", "out3", "out4", "out5", "detect"} <= names


def test_the_rename_table_leads_to_the_released_weights(golden: Path) -> None:
    architecture = imported(SPD_ROWS)
    table = {ours: value.data for ours, value in architecture.renames["rows"].items()}
    names = list(spdbuild.build(architecture, device="meta").state_dict())
    released = json.loads((golden / "yolov5_spd_n.keys.json").read_text())["state_dict_order"]
    assert sorted(rename(name, compile_rules(table)) for name in names) == sorted(released)


def test_scales_become_variants_with_a_bound_on_the_channels() -> None:
    text = ANCHORS.replace(
        "depth_multiple: {depth}\nwidth_multiple: {width}", "scales: {{n: [0.33, 0.25, 512], l: [1, 1, 1024]}}"
    )
    architecture = spdbuild.import_rows(Source("rows.yaml", text.format() + STRIDED_ROWS))
    assert architecture.variant == "n"
    assert architecture.graph["backbone.pyramid5.fuse.conv"].shape.channels == 128
    assert spdbuild.load(architecture.text, variant="l").graph.parameters == 46563709


def test_other_modules_and_repeats() -> None:
    text = """\
nc: 2
anchors: [[1,2, 3,4], [5,6, 7,8]]
backbone:
  - [-1, 1, SPDConv, [16, 3]]
  - [-1, 2, Bottleneck, [16]]
  - [-1, 2, Conv, [24, 3, 1]]
  - [-1, 1, nn.MaxPool2d, [2, 2, 0]]
  - [-1, 1, SPP, [32, [3, 5, 7]]]
head:
  - [[2, 4], 1, Detect, [2, anchors]]
"""
    graph = spdbuild.import_rows(Source("rows.yaml", text), size=64).graph
    # Convolutions by hand, each with 2 numbers of its norm a channel.
    bottleneck = 16 * 8 + 16 + 8 * 16 * 9 + 32
    convolutions = 16 * 24 * 9 + 48 + 24 * 24 * 9 + 48
    pyramid = 24 * 12 + 24 + 48 * 32 + 64
    heads = 14 * (24 + 1) + 14 * (32 + 1)
    assert graph.parameters == 12 * 16 * 9 + 32 + 2 * bottleneck + convolutions + pyramid + heads
    assert graph["head.detect"].op.strides == (2, 4)


HEAD = "head: [[[0], 1, Detect, [nc, anchors]]]\n"
START = "nc: 2\nanchors: [[1,2]]\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("nc: 2\nbackbone: [[-1, 1, Conv, [8]]]\n", "1:1", "the file needs the key 'head'"),
        (START + "widht_multiple: 1\nbackbone: [[-1, 1, Conv, [8]]]\n" + HEAD, "3:1", "has no key 'widht_multiple'"),
        (START + "backbone: [[-1, 1, Conv]]\n" + HEAD, "3:12", "must have at least 4 entries, got 3"),
        (START + "backbone: [[-1, 1, C2f, [8]]]\n" + HEAD, "3:20", "there is no module 'C2f' in row files"),
        (START + "backbone: [[3, 1, Conv, [8]]]\n" + HEAD, "3:13", "row 0 reads row 3, which is not above it"),
        (START + "backbone: [[-2, 1, Conv, [8]]]\n" + HEAD, "3:13", "row 0 reads row -2, which is not above it"),
        (START + "backbone: [[a, 1, Conv, [8]]]\n" + HEAD, "3:13", "'from' must be a whole number, got the text 'a'"),
        (START + "backbone: [[-1, 0, Conv, [8]]]\n" + HEAD, "3:17", "repeats must be a whole number from 1 on, got 0"),
        (START + "backbone: [[-1, 2, Focus, [8]]]\n" + HEAD, "3:17", "Focus cannot be repeated"),
        (START + "backbone: [[-1, 1, Conv, [8, x]]]\n" + HEAD, "3:30", "Conv: kernel must be a whole number, got the"),
        (START + "backbone: [[-1, 1, Conv, []]]\n" + HEAD, "3:26", "Conv needs the argument out"),
        (START + "backbone: [[-1, 1, C3, [8, 1]]]\n" + HEAD, "3:28", "C3: shortcut must be true or false, got 1"),
        (START + "backbone: [[-1, 1, Focus, [8, 1, 2]]]\n" + HEAD, "3:27", "Focus takes out, kernel; got a list of 3"),
        (START + "backbone: [[-1, 1, Conv, [8]]]\nhead: [[-1, 1, Conv, [8]]]\n", "4:8", "the last row must be Detect"),
        ("nc: 2\nbackbone: [[-1, 1, Conv, [8]]]\n" + HEAD, "3:8", "Detect needs anchors"),
        (
            "nc: 2\nanchors: [[1,2],[3,4]]\nbackbone: [[-1, 1, Conv, [8]]]\n" + HEAD,
            "4:8",
            "reads 1 rows, but there are",
        ),
        ("nc: 2\nanchors: [[1,2,3]]\nbackbone: [[-1, 1, Conv, [8]]]\n" + HEAD, "2:10", "anchors are pairs"),
        ("nc: 2\nanchors: 3\nbackbone: [[-1, 1, Conv, [8]]]\n" + HEAD, "2:10", "'anchors' must be a list, got 3"),
        (
            START + "backbone: [[-1, 1, Conv, [8]], [-1, 1, Conv, [8, 3, 2]], [[0, 1], 1, Concat, [1]]]\n" + HEAD,
            "3:58",
            "row 2 joins rows of strides 1 and 2",
        ),
    ],
)
def test_mistakes_have_their_place(text: str, place: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        spdbuild.import_rows(Source("rows.yaml", text))
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"rows.yaml:{place}: error: "), first
    assert message in first


def test_all_mistakes_are_told_at_once() -> None:
    text = START + "backbone: [[-1, 1, Foo, [8]], [9, 1, Conv, [8]]]\nhead: [[[0], 1, Detect, [nc]]]\n"
    with pytest.raises(SourceError) as caught:
        spdbuild.import_rows(Source("rows.yaml", text))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(("text", "rows"), [(ANCHORS + STRIDED_ROWS, True), ("model: a\nlayers: [relu()]\n", False)])
def test_row_files_are_told_from_ours(text: str, rows: bool) -> None:
    assert is_row_file(parse_yaml(Source("x.yaml", text))) == rows


def test_a_bound_on_the_channels_that_not_all_scales_have_is_left_out() -> None:
    scales = "scales: {{n: [0.33, 0.25, 512], l: [1, 1]}}"
    text = ANCHORS.replace("depth_multiple: {depth}\nwidth_multiple: {width}", scales)
    architecture = spdbuild.import_rows(Source("rows.yaml", text.format() + STRIDED_ROWS))
    assert spdbuild.load(architecture.text, variant="l").graph.parameters == 46563709


@pytest.mark.parametrize(
    ("arguments", "op"),
    [
        ("[6, 3, 1, None, 3]", "conv2d(6, kernel=3, groups=3)"),
        # Without a padding they take half of the kernel, rounded down, where ours is half of one less.
        ("[6, 2, 2]", "conv2d(6, kernel=2, stride=2, padding=1)"),
        ("[6, 2, 2, 0]", "conv2d(6, kernel=2, stride=2)"),
    ],
)
def test_arguments_of_convolutions_mean_what_they_mean_there(arguments: str, op: str) -> None:
    text = f"{START}backbone: [[-1, 1, Conv, {arguments}]]\n{HEAD}"
    graph = spdbuild.import_rows(Source("rows.yaml", text), size=64).graph
    assert str(graph["backbone.stem.conv"].op) == op
