"""`spdbuild ls`."""

from __future__ import annotations

import json

from spdbuild import builtin


def test_architectures_have_their_input_and_parameters(run):
    lines = [line.split() for line in run("ls").stdout.splitlines()]
    assert ["resnet50", "3x224x224", "25,557,032"] in lines
    assert ["yolov5", "3x640x640", "n", "1,872,157,"] in [line[:4] for line in lines]


def test_all_that_comes_with_the_package_is_listed(run):
    document = json.loads(run("ls", "--json").stdout)
    for kind in ("architectures", "recipes"):
        assert [entry["name"] for entry in document[kind]] == list(builtin.listed(kind))


def test_a_pattern_picks_names(run):
    document = json.loads(run("ls", "resnet5?", "--json").stdout)
    assert document["architectures"][0]["params"] == {"": 25_557_032}
    assert [entry["name"] for entry in document["architectures"]] == ["resnet50"]


def test_nothing_found_is_said_on_stderr(run):
    result = run("ls", "nothing*")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing is called 'nothing*'\n")


def test_a_recipe_that_extends_another_has_its_architecture(run):
    lines = [line.split() for line in run("ls").stdout.splitlines()]
    assert ["coco_yolov5_spd_l", "yolov5_spd", "l"] in lines
    assert ["cifar10_resnet50_spd_fixed", "resnet50_spd_cifar10"] in lines
