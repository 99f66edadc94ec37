"""`spdbuild convert`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import pytest

from spdbuild.cli.convert import command
from spdbuild.conversion.convert import convert
from spdbuild.loading import load
from spdbuild.passes.strided_to_spd import StridedToSpd

#: A 3x3 kernel of stride 2 becomes 2x2 blocks of 4 * 4 channels: 8*16*4 = 512; the pool 8 * (4*8) = 256.
REPORT = """\
replaced   op        becomes       kernel                      taps  placement      params                MACs  \
exact  field       stride  note
down.conv  conv2d    spd_conv2d    3x3/2 -> 2x2 of 2x2 pixels  9/16  before     288 -> 512  4.608 k -> 8.192 k  \
yes    5x5 -> 6x6  2
pool       max_pool  spd_max_pool  2x2/2 -> 1x1 of 2x2 pixels  4/4   before       0 -> 256        0 -> 1.024 k  \
no     7x7 -> 8x8  4

2 replaced, 0 kept
parameters  510 -> 990  x1.94
MACs        11.600 k -> 16.208 k  x1.40
"""
CONVERTED = """\
# Converted from tiny by strided_to_spd()
model: tiny_spd
inputs: {image: [3, 8, 8]}
blocks:
  conv_norm(out, stride=1):
    - conv: spd_conv2d(out, 3, stride)
    - norm: batch_norm()
layers:
  - stem: conv_norm(4)
  - relu()
  - down: conv_norm(8, stride=2)   # keeps its comment
  - pool: spd_max_pool(2, stride=2)
  - global_avg_pool()
  - head: linear(10)
"""


def test_the_yaml_goes_to_stdout_and_the_report_to_stderr(run, tiny: Path):
    result = run("convert", tiny)
    assert (result.exit_code, result.stdout, result.stderr) == (0, CONVERTED, REPORT)


def test_with_a_file_the_report_goes_to_stdout(run, tiny: Path):
    result = run("convert", tiny, "-o", "new.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, REPORT, "wrote new.yaml\n")
    assert Path("new.yaml").read_text() == CONVERTED


def test_json_is_the_report_and_the_yaml_goes_to_the_file_alone(run, tiny: Path):
    result = run("convert", tiny, "--json", "-o", "new.yaml")
    report = json.loads(result.stdout)
    assert {"name", "op", "at", "before", "after", "exact"} <= set(report["replaced"][0])
    assert [(r["name"], r["op"], r["at"], r["exact"]) for r in report["replaced"]] == [
        ("down.conv", "conv2d", "tiny.yaml:5", True),
        ("pool", "max_pool", "tiny.yaml:11", False),
    ]
    assert report["before"] == {"params": 510, "macs": 11_600}
    assert report["after"] == {"params": 990, "macs": 16_208}
    assert Path("new.yaml").read_text() == CONVERTED


def test_the_written_file_can_be_summarized(run, tiny: Path):
    run("convert", tiny, "-o", "new.yaml")
    assert json.loads(run("summary", "new.yaml", "--json").stdout)["params"] == 990


def test_every_option_of_the_pass_is_an_option():
    options = {parameter.name for parameter in command.params if isinstance(parameter, click.Option)}
    assert {field.name for field in dataclasses.fields(StridedToSpd)} <= options


@pytest.mark.parametrize(
    "arguments",
    [["--keep", "down,pool"], ["--keep", "down", "--keep", "pool"], ["--only", "stem"]],
    ids=["commas", "repeated", "only"],
)
def test_what_is_kept_is_listed_with_its_reason(run, tiny: Path, arguments: list[str]):
    report = json.loads(run("convert", tiny, "--json", *arguments).stdout)
    assert report["replaced"] == []
    assert [entry["name"] for entry in report["kept"]] == ["down.conv", "pool"]
    assert {entry["why"] for entry in report["kept"]} == {
        "named in keep" if "keep" in arguments[0] else "not named in only"
    }


def test_what_is_kept_stands_below_what_is_replaced(run, tiny: Path):
    lines = run("convert", tiny, "--pool", "keep").stderr.splitlines()
    assert lines[2:5] == ["", "kept  op                     why", "pool  max_pool(2, stride=2)  pool=keep"]


# The published counts of YOLOv5-SPD, REFERENCE: 2.26, 8.77, 24.65 and 52.71 M.
@pytest.mark.parametrize(
    ("variant", "params"), [("n", 2_256_157), ("s", 8_771_389), ("m", 24_646_557), ("l", 52_707_709)]
)
def test_the_preset_gives_the_released_networks(run, variant: str, params: int):
    result = run("convert", "yolov5", "--variant", variant, "--preset", "released-yolov5", "--json")
    assert json.loads(result.stdout)["after"]["params"] == params


def test_without_a_variant_the_numbers_are_those_of_the_first(run):
    result = run("convert", "yolov5", "--preset", "released-yolov5", "--json")
    assert result.stderr == "the file keeps all variants; the numbers are those of variant n\n"
    assert json.loads(result.stdout)["after"]["params"] == 2_256_157


def test_options_win_over_the_preset(run, tiny: Path):
    report = json.loads(run("convert", tiny, "--preset", "paper", "--kernel", "1", "--json").stdout)
    assert report["replaced"][0]["after"]["params"] == 8 * 16


def test_a_file_that_extends_says_why(run, tiny: Path):
    Path("small.yaml").write_text("model: small\nextends: tiny.yaml\ninputs: {image: [3, 6, 6]}\n")
    result = run("convert", "small.yaml", "-o", "small_spd.yaml")
    assert "because its lines could not be rewritten: the file extends another one" in result.stdout
    assert (
        Path("small_spd.yaml").read_text() == "model: small_spd\nextends: small.yaml\npasses:\n  - strided_to_spd()\n"
    )


def test_nothing_to_replace_leaves_the_text_as_it_is(run, tiny: Path):
    result = run("convert", tiny, "--keep", "*")
    assert result.stdout == tiny.read_text()
    assert result.stderr.startswith("nothing was replaced\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "tiny.yaml"], "tiny.yaml is the file that is converted\n      = hint: write to another file"),
        (["-o", "a/b.yaml"], "a/b.yaml cannot be written: there is no folder a\n      = hint: make the folder first"),
        (["-o", "."], ". cannot be written: it is a folder"),
        (["--kernel", "exakt"], "--kernel must be one of 'exact', 'same' or a whole number, got the text 'exakt'"),
        (["--kernel", "0"], "kernel must be between 1 and 1000000, got 0"),
        (["--kernel", "99999999"], "kernel must be between 1 and 1000000, got 99999999"),
        (
            ["--kernels", "down=99999999"],
            "kernels must be entries such as 'down2=1', got 'down=99999999'\n"
            "      = hint: a kernel is exact, same or a number between 1 and 1000000",
        ),
        (
            ["--placement", "behind"],
            "--placement must be one of 'before', 'after', got the text 'behind'\n      = hint: known: after, before",
        ),
        (["--keep", "dawn"], "keep: no layer of tiny is called 'dawn'\n      = hint: did you mean 'down'?"),
        (
            ["--strict", "--keep", "down"],
            "strict: 1 strided layers are left: down.conv (named in keep)\n"
            "      = hint: name nothing in keep, pool=conv",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_and_nothing_is_written(run, tiny: Path, arguments: list[str], message: str):
    before = tiny.read_text()
    result = run("convert", tiny, *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {message}\n")
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]
    assert tiny.read_text() == before


def test_a_file_in_another_folder_imports_what_its_ops_need(run, own: Path):
    result = run("convert", own, "--allow-imports", "-o", "sub/own.yaml")
    assert "extends" not in result.output
    expected = own.read_text().replace("own_ops.py", "../own_ops.py").replace("model: own", "model: own_spd")
    converted = expected.replace("conv2d(4", "spd_conv2d(4")
    assert Path("sub/own.yaml").read_text().partition("\n")[2] == converted
    assert run("check", "sub/own.yaml", "--allow-imports").exit_code == 0


def test_a_flat_file_imports_what_its_ops_need(own: Path):
    # A text that runs passes itself is neither rewritten nor extended.
    text = own.read_text() + 'passes: ["remove_identity()"]\n'
    architecture, report = convert(load(text, allow_imports=True))
    assert report.flat
    assert "imports: [own_ops.py]" in architecture.text
