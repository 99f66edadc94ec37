"""`spdbuild ops`, `passes` and `schema`: what is made from the classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from spdbuild.ops import OPS
from spdbuild.passes import PASSES

SPLIT = """\
split(parts=2)

Split the channels into consecutive parts.

  parts  number of equal parts, which must divide C; or the channels of each part, [64, 192], whose sum must be C.

Input (N, C, H, W) or (N, C); one output for each part, of the same height and width.

"""


def test_every_op_and_pass_is_listed(run):
    listed = {line.split()[1] for line in run("ops").stdout.splitlines()[1:]}
    assert listed == set(OPS)
    assert {line.split()[0] for line in run("passes").stdout.splitlines()[1:]} == set(PASSES)


def test_one_op_is_shown_with_its_arguments_and_an_example(run):
    page = run("ops", "split").stdout
    assert page.startswith(SPLIT)
    assert "Example: split(" in page
    assert "Source: " in page.splitlines()[-1]


def test_the_example_has_counts_that_one_can_work_out(run):
    # 16 kernels of 3x3 over 8 channels, at 5x6 places.
    expected = "conv2d(16, kernel=3, stride=2) makes 16x5x6 of 8x9x12; 1,152 parameters, 34,560 MACs"
    assert f"\nExample: {expected}\n" in run("ops", "conv2d").stdout


@pytest.mark.parametrize("name", list(OPS))
def test_every_argument_of_an_op_is_described(run, name: str):
    document = json.loads(run("ops", name, "--json").stdout)
    assert document["summary"]
    assert document["source"]
    assert all(argument["text"] for argument in document["arguments"])


@pytest.mark.parametrize("name", list(PASSES))
def test_every_option_of_a_pass_is_described(run, name: str):
    document = json.loads(run("passes", name, "--json").stdout)
    assert document["summary"]
    assert document["source"]
    assert all(argument["text"] for argument in document["arguments"])


def test_the_arguments_in_json(run):
    arguments = json.loads(run("ops", "stochastic_depth", "--json").stdout)["arguments"]
    assert arguments[1] == {
        "name": "mode",
        "accepts": "one of 'row', 'batch'",
        "default": '"row"',
        "text": '"row" draws for each sample, "batch" once for the whole batch.',
    }


@pytest.mark.parametrize(("command", "name"), [("ops", "conv2"), ("passes", "strided_to_sdp")])
def test_an_unknown_name_suggests_the_nearest(run, command: str, name: str):
    result = run(command, name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean" in result.stderr


@pytest.mark.parametrize("kind", ["architecture", "recipe"])
def test_a_schema_is_valid_and_can_be_written(run, kind: str, tmp_path: Path):
    schema = json.loads(run("schema", kind).stdout)
    Draft202012Validator.check_schema(schema)
    assert run("schema", kind, "-o", tmp_path / "schema.json").stdout == ""
    assert json.loads((tmp_path / "schema.json").read_text()) == schema


def test_the_schema_of_architectures_accepts_one_and_refuses_another(run):
    validator = Draft202012Validator(json.loads(run("schema", "architecture").stdout))
    good = {"model": "a", "inputs": {"x": [3, 8, 8]}, "layers": ["relu()"]}
    assert validator.is_valid(good)
    assert not validator.is_valid(good | {"inputs": {"x": "3, 8, 8"}})
