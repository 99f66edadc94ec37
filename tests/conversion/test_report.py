"""What the report says of each layer."""

from __future__ import annotations

import dataclasses
import json

import pytest

import spdbuild
from spdbuild.conversion.report import ConversionReport
from spdbuild.conversion.report_tables import markdown
from spdbuild.conversion.taps import taps_of
from spdbuild.ops.spd import SpdAvgPool, SpdConv2d, SpdMaxPool

TEXT = """
model: tiny
inputs: {image: [3, 16, 16]}
layers:
  - conv: conv2d(8, 3, stride=2)
  - relu()
  - pool: max_pool(3, stride=2)
  - head: conv2d(2, 3)
"""


def report(**options: object) -> ConversionReport:
    return spdbuild.convert(spdbuild.load(TEXT), **options)[1]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "used"),
    [(1, 2, 0, "1/4"), (2, 2, 0, "4/4"), (3, 2, 1, "9/16"), (5, 2, 2, "25/36"), (6, 2, 2, "36/36"), (7, 2, 3, "49/64"),
     (7, 4, 3, "49/64"), (11, 4, 2, "121/256")],
)  # fmt: skip
def test_taps_used_are_those_of_the_published_table(kernel: int, stride: int, padding: int, used: str) -> None:
    assert str(taps_of(SpdConv2d(8, kernel, stride, padding))) == used


def test_a_kernel_that_is_too_small_holds_fewer_taps() -> None:
    assert str(taps_of(SpdConv2d(8, 3, 2, spd_kernel=1))) == "4/4"


def test_pools_have_taps_too() -> None:
    assert str(taps_of(SpdAvgPool(3, 2))) == "9/16"
    assert str(taps_of(SpdMaxPool(2, 2))) == "4/4"


def test_json_has_the_field_stride_taps_and_residual_of_a_layer() -> None:
    fitted = dataclasses.replace(report(), residuals={"pool": 0.25})
    conv, pool = json.loads(json.dumps(fitted.to_dict()))["replaced"]
    assert conv["before"]["receptive_field"] == [3, 3]
    assert conv["after"]["receptive_field"] == [4, 4]
    assert conv["before"]["output_stride"] == conv["after"]["output_stride"] == [2, 2]
    assert conv["taps"] == {"used": 9, "of": 16}
    assert (conv["residual"], pool["residual"]) == (None, 0.25)
    assert (conv["exact"], pool["exact"]) == (True, False)


def test_placement_after_has_no_taps_of_its_own_and_halves_the_stride() -> None:
    conv = report(placement="after", pool="keep").to_dict()["replaced"][0]
    assert conv["taps"] is None
    assert conv["before"]["output_stride"] == [2, 2]
    assert conv["after"]["output_stride"] == [1, 1]


MARKDOWN = """\
# tiny: strided_to_spd()

| replaced | op | becomes | kernel | taps | placement | params | MACs | exact | field | stride | note |
| --- | --- | --- | --- | --- | --- | ---: | ---: | --- | --- | --- | --- |
| conv | conv2d | spd_conv2d | 3x3/2 -> 2x2 of 2x2 pixels | 9/16 | before \
| 216 -> 384 | 13.824 k -> 24.576 k | yes | 3x3 -> 4x4 | 2 |  |
| pool | max_pool | spd_max_pool | 3x3/2 -> 1x1 of 2x2 pixels | 4/4 | before \
| 0 -> 256 | 0 -> 4.096 k | residual 1 | 7x7 -> 6x6 | 4 |  |

| total | before | after | ratio |
| --- | ---: | ---: | ---: |
| parameters | 360 | 784 | x2.18 |
| MACs | 16.128 k | 30.976 k | x1.92 |
"""


def test_the_report_as_markdown() -> None:
    """Parameters by hand: 3*8*9 + 8*2*9 = 360; 12*8*4 + 8*32 + 8*2*9 = 784."""
    assert markdown(dataclasses.replace(report(), residuals={"pool": 1.0})) == MARKDOWN


def test_markdown_lists_what_was_kept() -> None:
    assert "| pool | max_pool(3, stride=2) | pool=keep |" in markdown(report(pool="keep"))
