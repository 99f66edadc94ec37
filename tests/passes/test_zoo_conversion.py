"""What holds when any file of the zoo is converted."""

from __future__ import annotations

import re
from difflib import ndiff
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spdbuild
from spdbuild import builtin
from spdbuild.conversion.report import ConversionReport
from spdbuild.loading import Architecture, read_document
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.text.source import read_source

DOCUMENTS = {name: read_document(read_source(path)) for name, path in builtin.listed("architectures").items()}
STANDING_ALONE = [name for name, document in DOCUMENTS.items() if document.base is None and not document.passes]
EVERY_FILE = pytest.mark.parametrize("name", DOCUMENTS)
BEFORE = [{"kernel": "exact"}, {"kernel": "same"}, {"kernel": 1}, {"kernel": 3}]
AFTER = [{"placement": "after", "after": "conv"}, {"placement": "after", "after": "act"}]


def named(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


@cache
def of_the_zoo(name: str) -> Architecture:
    """The architecture, in its first variant if it has any."""
    return spdbuild.load(name, variant=next(iter(DOCUMENTS[name].variants), None))


def converted_by(name: str, options: dict[str, Any]) -> tuple[Architecture, ConversionReport]:
    """What `convert` makes of a file of the zoo; several tests look at each."""
    return _converted(name, tuple(options.items()))


@cache
def _converted(name: str, options: tuple[tuple[str, Any], ...]) -> tuple[Architecture, ConversionReport]:
    return spdbuild.convert(of_the_zoo(name), strict=True, **dict(options))


def strides(model: nn.Module) -> dict[str, Any]:
    """The strides of every convolution and pool."""
    kinds = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d
    return {name: module.stride for name, module in model.named_modules() if isinstance(module, kinds)}


def skipping(model: nn.Module) -> list[str]:
    """The convolutions and pools that skip pixels."""
    return [name for name, stride in strides(model).items() if stride not in (1, (1, 1))]


def run(model: nn.Module, architecture: Architecture) -> list[tuple[int, ...]]:
    """The shapes that the network really puts out for two images of the declared sizes."""
    images = [torch.zeros(2, *node.shape, device="meta") for node in architecture.graph.inputs]
    outputs = model.eval()(*images)
    return [tuple(output.shape) for output in ([outputs] if isinstance(outputs, Tensor) else outputs)]


def test_the_zoo_is_there_and_skips_pixels() -> None:
    assert len(DOCUMENTS) >= 19
    assert len(STANDING_ALONE) >= 8
    whole = [name for name in DOCUMENTS if not skipping(spdbuild.build(of_the_zoo(name), device="meta"))]
    assert whole == ["yolov5_spd"]


@EVERY_FILE
@pytest.mark.parametrize("options", BEFORE, ids=named)
def test_placed_before_nothing_skips_pixels_and_the_outputs_keep_their_shape(
    name: str, options: dict[str, Any]
) -> None:
    original = of_the_zoo(name)
    converted, _ = converted_by(name, options)
    model = spdbuild.build(converted, device="meta")
    assert skipping(model) == []
    assert strides(model)
    assert run(model, converted) == [(2, *output) for output in shapes(original)]


@EVERY_FILE
@pytest.mark.parametrize("options", AFTER, ids=named)
def test_placed_after_nothing_skips_pixels(name: str, options: dict[str, Any]) -> None:
    converted, _ = converted_by(name, options)
    model = spdbuild.build(converted, device="meta")
    assert skipping(model) == []
    assert run(model, converted) == [(2, *output) for output in shapes(converted)]


@EVERY_FILE
@pytest.mark.parametrize("options", [*BEFORE, *AFTER], ids=named)
def test_a_second_conversion_changes_nothing(name: str, options: dict[str, Any]) -> None:
    once, _ = converted_by(name, options)
    twice, report = spdbuild.convert(once, **options)
    assert report.changes == ()
    assert twice.text == once.text
    assert twice.graph == once.graph


@EVERY_FILE
@pytest.mark.parametrize("options", [*BEFORE, *AFTER], ids=named)
def test_all_other_layers_keep_their_names_and_order(name: str, options: dict[str, Any]) -> None:
    original = of_the_zoo(name)
    converted, report = converted_by(name, options)
    inserted = {layer for change in report.changes for layer in change.inserted}
    assert [layer for layer in converted.graph.names if layer not in inserted] == list(original.graph.names)


@pytest.mark.parametrize("name", STANDING_ALONE)
@pytest.mark.parametrize("options", BEFORE, ids=named)
def test_placed_before_a_file_changes_in_strided_lines_its_name_and_its_counts(
    name: str, options: dict[str, Any]
) -> None:
    original = of_the_zoo(name)
    converted, report = converted_by(name, options)
    assert report.overlay == ""
    difference = list(ndiff(original.text.splitlines(), converted.text.splitlines()))
    changed, added = ([line[2:] for line in difference if line[0] == sign] for sign in "-+")
    added.remove(f"# Converted from {name} by {report.options}")
    assert f"model: {name}_spd" in added
    for old, new in zip(changed, added, strict=True):
        if counts(old):
            assert counts(new)
        elif not old.startswith("model: "):
            assert "spd_" in new
            assert re.sub(r", spd_kernel=[^)]+", "", new).replace("spd_", "") == old


@pytest.mark.parametrize("name", sorted(set(DOCUMENTS) - set(STANDING_ALONE) - {"yolov5_spd"}))
def test_a_file_that_extends_another_is_converted_by_a_file_that_extends_it(name: str) -> None:
    converted, report = converted_by(name, {})
    assert report.overlay == "the file extends another one or runs passes itself"
    assert converted.text.splitlines()[1] == f"extends: {name}"


@pytest.mark.parametrize("variant", DOCUMENTS["yolov5"].variants)
@pytest.mark.parametrize("options", [BEFORE[0], *AFTER], ids=named)
def test_the_written_file_is_converted_in_every_variant(variant: str, options: dict[str, Any]) -> None:
    text = converted_by("yolov5", options)[0].text
    expected, _ = run_passes(spdbuild.load("yolov5", variant=variant).graph, [StridedToSpd(**options)])
    assert spdbuild.load(text, variant=variant).graph == expected


def shapes(architecture: Architecture) -> list[tuple[int, ...]]:
    graph = architecture.graph
    return [tuple(graph.shape_of(output)) for output in graph.outputs]


def counts(line: str) -> bool:
    """Whether a line stands under `expect`."""
    return line.lstrip().startswith(("expect:", "parameters:", "macs:"))
