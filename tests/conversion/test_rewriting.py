"""Files before and after: the first comment is the pass, the text behind `---` what the converted file must be."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest

import spdbuild
from spdbuild import builtin
from spdbuild.architecture.line import parse_call
from spdbuild.conversion.convert import convert
from spdbuild.conversion.options import ModuleOptions, SpdOptions
from spdbuild.conversion.verification import random_weights
from spdbuild.declaring.arguments import arguments_of
from spdbuild.errors import ArgumentError, InputError
from spdbuild.loading import Architecture, pass_of, read_document
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.text.source import Source, parse_yaml, read_source

CASES = sorted((Path(__file__).parent / "rewriting").glob("*.yaml"))


def load_first_variant(text: str, name: str = "case.yaml") -> Architecture:
    document = read_document(Source(name, text))
    return Architecture(document, next(iter(document.variants), None))


def options_of(text: str) -> dict[str, object]:
    call = text.splitlines()[0].removeprefix("# ")
    return arguments_of(pass_of(parse_call(parse_yaml(Source("comment", f"- {call}")).data[0])))


def test_the_cases_are_found() -> None:
    assert len(CASES) >= 8


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_file_is_rewritten_as_shown(path: Path) -> None:
    before, after = path.read_text().split("---\n")
    converted, report = convert(load_first_variant(before), **options_of(before))
    assert converted.text == after
    assert not report.overlay


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_converting_again_changes_nothing(path: Path) -> None:
    before = path.read_text().split("---\n")[0]
    options = options_of(before)
    once, _ = convert(load_first_variant(before), **options)
    twice, report = convert(once, **options)
    assert twice.text == once.text
    assert not report.replaced


@pytest.mark.parametrize("path", builtin.listed("architectures").values(), ids=lambda path: path.stem)
def test_the_written_file_gives_the_graph_of_the_pass_in_every_variant(path: Path) -> None:
    document = read_document(read_source(path))
    for variant in document.variants or [None]:
        architecture = Architecture(document, variant)
        converted, report = convert(architecture)
        again = load_first_variant(converted.text, str(path.with_name("converted.yaml"))).document
        assert Architecture(again, variant).graph == report.after


def test_chosen_vars_and_input_are_written_into_the_file() -> None:
    architecture = spdbuild.load("resnet50", vars={"classes": 10}, inputs=[[3, 64, 64]])
    converted, report = spdbuild.convert(architecture)
    assert "vars: {classes: 10," in converted.text
    assert "inputs: {image: [3, 64, 64]}" in converted.text
    assert spdbuild.load(converted.text).graph == report.after


def test_lines_that_depend_on_the_channels_of_a_chosen_input_are_rewritten(tmp_path: Path) -> None:
    file = tmp_path / "dw.yaml"
    file.write_text("""model: dw
inputs: {image: [3, 16, 16]}
blocks:
  dw(stride=1):
    - conv: conv2d(in_channels, 3, stride, groups=in_channels)
layers:
  - first: dw(2)
  - head: conv2d(4)
""")
    converted, report = spdbuild.convert(spdbuild.load(file, inputs=[[6, 16, 16]]))
    assert not report.overlay
    assert "inputs: {image: [6, 16, 16]}" in converted.text
    assert converted.graph == report.after
    assert converted.graph["first.conv"].shape == (6, 8, 8)


CHANNELS_FROM_ABOVE = """model: t
inputs: {image: [3, 16, 16]}
blocks:
  same():
    - conv: conv2d(in_channels)
layers:
  - first: conv2d(8, 3, stride=2)
  - second: same()
"""


def test_a_text_that_cannot_be_rewritten_has_no_file_to_extend_and_becomes_flat() -> None:
    converted, report = spdbuild.convert(CHANNELS_FROM_ABOVE, placement="after")
    assert report.overlay == "<text>:5: rewritten lines would change 'second.conv' too, whose line depends on channels"
    assert report.flat == "there is no file to extend"
    assert (
        converted.text
        == """\
# Converted from t by strided_to_spd(placement="after")
model: t_spd
inputs: {image: [3, 16, 16]}
layers:
  - first: conv2d(8, kernel=3)
  - first_to_depth: space_to_depth()
  - second_conv: conv2d(8)
"""
    )


def test_weights_of_a_flat_file_have_its_names() -> None:
    architecture = spdbuild.load(CHANNELS_FROM_ABOVE)
    converted, report = spdbuild.convert(architecture, placement="after")
    weights = spdbuild.transfer(report, random_weights(architecture.graph))
    spdbuild.build(converted).load_state_dict(weights)


def test_a_chosen_value_of_a_variants_var_is_written_into_the_variant() -> None:
    converted, report = spdbuild.convert(spdbuild.load("yolov5", variant="s", vars={"width_multiple": 0.43}))
    assert not report.overlay
    assert "  n: {width_multiple: 0.25, depth_multiple: 0.33}\n  s: {width_multiple: 0.43," in converted.text
    assert spdbuild.load(converted.text, variant="s").graph == report.after


def test_a_file_that_extends_gets_the_variant_with_the_chosen_value(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: mine\nextends: yolov5\n")
    architecture = spdbuild.load(file, variant="n", vars={"classes": 4, "width_multiple": 0.2})
    converted, report = spdbuild.convert(architecture, output=tmp_path / "mine_spd.yaml")
    assert converted.text.splitlines()[2:4] == [
        "vars: {classes: 4}",
        "variants: {n: {width_multiple: 0.2, depth_multiple: 0.33}}",
    ]
    assert converted.graph == report.after


def test_a_file_that_extends_another_gets_the_pass_in_four_lines(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: mine\nextends: resnet50\nvars: {classes: 10}\n")
    (tmp_path / "out").mkdir()
    converted, report = spdbuild.convert(spdbuild.load(file), output=tmp_path / "out" / "mine_spd.yaml")
    assert converted.text == "model: mine_spd\nextends: ../mine.yaml\npasses:\n  - strided_to_spd()\n"
    assert report.overlay == "the file extends another one or runs passes itself"


def test_the_text_is_written_to_the_output(tmp_path: Path) -> None:
    file, output = tmp_path / "mine.yaml", tmp_path / "mine_spd.yaml"
    file.write_text("model: mine\nextends: resnet18\n")
    for given in (output, str(output)):
        converted, report = spdbuild.convert(file, output=given)
        assert output.read_text() == converted.text
        assert spdbuild.load(output).graph == report.after
        output.unlink()
    with pytest.raises(InputError, match="is the file that is converted"):
        spdbuild.convert(file, output=file)
    with pytest.raises(InputError, match="there is no folder"):
        spdbuild.convert(file, output=tmp_path / "none" / "mine_spd.yaml")
    with pytest.raises(ArgumentError, match="strided_to_spd has no option 'kernal'"):
        spdbuild.convert(file, output=output, kernal="same")  # type: ignore[call-arg]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_the_options_are_those_of_the_pass() -> None:
    fields = {field.name for field in dataclasses.fields(StridedToSpd)}
    assert set(get_type_hints(SpdOptions)) == fields
    assert set(get_type_hints(ModuleOptions)) == fields - {"after", "kernels", "before"}


def test_a_line_that_depends_on_channels_makes_the_file_extend_the_old_one() -> None:
    converted, report = spdbuild.convert(spdbuild.load("resnet50"), placement="after")
    assert converted.text == 'model: resnet50_spd\nextends: resnet50\npasses:\n  - strided_to_spd(placement="after")\n'
    assert "stage1.first.skip.match.conv" in report.overlay


@pytest.mark.parametrize("value", ["true", "null", "yes", float("inf"), -float("inf"), "1e-3", ""])
def test_a_var_is_written_as_what_it_is(value: object) -> None:
    text = """
model: small
inputs: {image: [3, 8, 8]}
vars: {kind: none}
layers:
  - stem: conv2d(4, 3, stride=2, bias=kind == 1)
"""
    converted, report = spdbuild.convert(spdbuild.load(text, vars={"kind": value}))
    assert not report.overlay
    assert spdbuild.load(converted.text).document.vars["kind"] == value


def test_the_ends_of_lines_stay_what_they_are() -> None:
    text = "model: m\r\ninputs: {image: [3, 8, 8]}\r\nlayers:\r\n  - a: conv2d(8, 3, 2)\r\n  - b: conv2d(8)\r\n"
    converted, report = convert(load_first_variant(text), placement="after")
    assert not report.overlay
    assert "\r\n  - a_to_depth: space_to_depth(2)\r\n" in converted.text
    assert converted.text.count("\n") == converted.text.count("\r\n")


REASONS = {
    "repeats": (
        "  - c: conv2d(8, 3, 2) * 2\n  - d: conv2d(4)\n",
        "case.yaml:4: 'c' is repeated, and each repeat needs a space_to_depth of its own",
    ),
    "channels": (
        "  - c: conv2d(8, 3, 2)\n  - d: half()\n",
        "case.yaml:5: rewritten lines would change 'd.a' too, whose line depends on channels",
    ),
}


@pytest.mark.parametrize(("lines", "reason"), REASONS.values(), ids=REASONS)
def test_the_reason_names_the_line_that_cannot_be_rewritten(lines: str, reason: str) -> None:
    head = "model: m\ninputs: {image: [3, 16, 16]}\n"
    block = "blocks:\n  half():\n    - a: conv2d(in_channels // 2)\n" if "half" in lines else ""
    _, report = convert(load_first_variant(head + block + "layers:\n" + lines), placement="after")
    assert report.overlay == reason
