"""`spdbuild diff`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# Tables are as wide as they are.
# ruff: noqa: E501
DIFF = """\
   layer      changed  before                         after                              shape      params                MACs
~  down.conv  op       conv2d(8, kernel=3, stride=2)  spd_conv2d(8, kernel=3, stride=2)  8x4x4  288 -> 512  4.608 k -> 8.192 k
~  pool       op       max_pool(2, stride=2)          spd_max_pool(2, stride=2)          8x2x2    0 -> 256        0 -> 1.024 k

total           tiny  tiny_spd  ratio
layers             8         8  x1.00
parameters       510       990  x1.94
MACs        11.600 k  16.208 k  x1.40
"""
MARKDOWN = """\
|  | layer | changed | before | after | shape | params | MACs |
| --- | --- | --- | --- | --- | --- | ---: | ---: |
| ~ | down.conv | op | conv2d(8, kernel=3, stride=2) | spd_conv2d(8, kernel=3, stride=2) | 8x4x4 | 288 -> 512 | 4.608 k -> 8.192 k |
| ~ | pool | op | max_pool(2, stride=2) | spd_max_pool(2, stride=2) | 8x2x2 | 0 -> 256 | 0 -> 1.024 k |

| total | tiny | tiny_spd | ratio |
| --- | ---: | ---: | ---: |
| layers | 8 | 8 | x1.00 |
| parameters | 510 | 990 | x1.94 |
| MACs | 11.600 k | 16.208 k | x1.40 |
"""


@pytest.fixture
def converted(run, tiny: Path) -> Path:
    run("convert", tiny, "-o", "new.yaml")
    return Path("new.yaml")


@pytest.mark.parametrize(("options", "expected"), [([], DIFF), (["--markdown"], MARKDOWN)], ids=["table", "markdown"])
def test_the_whole_output(run, tiny: Path, converted: Path, options: list[str], expected: str):
    result = run("diff", tiny, converted, *options)
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, "")


def test_json_has_only_what_differs(run, tiny: Path, converted: Path):
    document = json.loads(run("diff", tiny, converted, "--json").stdout)
    assert document["before"] == {"name": "tiny", "params": 510, "macs": 11_600}
    assert document["after"] == {"name": "tiny_spd", "params": 990, "macs": 16_208}
    assert [(layer["before"]["name"], layer["changed"]) for layer in document["layers"]] == [
        ("down.conv", ["op"]),
        ("pool", ["op"]),
    ]


def test_equal_networks(run, tiny: Path):
    result = run("diff", tiny, tiny)
    assert result.stdout.splitlines()[0] == "the layers are equal"
    assert json.loads(run("diff", tiny, tiny, "--json").stdout)["layers"] == []


def test_all_layers_on_request(run, tiny: Path, converted: Path):
    assert len(json.loads(run("diff", tiny, converted, "--all", "--json").stdout)["layers"]) == 9


def test_a_layer_that_was_put_in_or_taken_out(run, tiny: Path):
    Path("other.yaml").write_text(tiny.read_text().replace("  - relu()\n", "  - twice: silu()\n"))
    lines = run("diff", tiny, "other.yaml").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [["+", "twice"], ["-", "relu"], ["~", "down.conv"]]
    assert lines[3].split()[2] == "inputs"


def test_the_variant_holds_for_both(run):
    document = json.loads(run("diff", "yolov5", "yolov5_spd", "--variant", "s", "--json").stdout)
    assert (document["before"]["params"], document["after"]["params"]) == (7_235_389, 8_771_389)
