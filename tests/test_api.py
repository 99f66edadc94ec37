"""What the command line does is one call from Python, and the package is imported at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision

import spdbuild
from spdbuild.diagram import diagram_svg
from spdbuild.errors import ArgumentError, SourceError, WeightsError


def test_the_example_of_the_contract() -> None:
    architecture = spdbuild.load("yolov5", variant="n", vars={"classes": 4})
    converted, report = spdbuild.convert(architecture, placement="after", after="act")
    model = spdbuild.build(converted, device="meta")
    assert sum(p.numel() for p in model.parameters()) == spdbuild.summary(converted).params
    assert len(report.replaced) == 7


def test_summary_has_the_documents_keys() -> None:
    document = spdbuild.summary("resnet50").to_dict()
    assert (document["params"], document["macs"], document["flops"]) == (25_557_032, 4_089_184_256, 8_178_368_512)
    assert document["input"] == [3, 224, 224]
    assert set(document["layers"][0]) == {"name", "op", "inputs", "shape", "params", "macs"}


def test_the_memory_of_activations_by_hand() -> None:
    """Two outputs of 8x4x4 and one of 8: all of them in training; at most image and first output at once else."""
    text = "model: m\ninputs: {image: [3, 4, 4]}\nlayers:\n  - c: conv2d(8)\n  - relu()\n  - global_avg_pool()\n"
    summary = spdbuild.summary(spdbuild.load(text))
    assert summary.activation_elements == 128 + 128 + 8
    assert summary.peak_elements == 256


def test_check_gives_the_graph_of_every_variant() -> None:
    graphs = spdbuild.check("yolov5")
    assert [graph.parameters for graph in graphs.values()][:2] == [1_872_157, 7_235_389]


def test_check_raises_all_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("model: m\ninputs: {image: [3, 4, 4]}\nlayers:\n  - relux()\n  - silux()\n")
    with pytest.raises(SourceError) as caught:
        spdbuild.check(file)
    assert len(caught.value.problems) == 2


def test_diff_pairs_the_layers() -> None:
    converted, _ = spdbuild.convert(spdbuild.load("resnet18"))
    pairs = spdbuild.diff("resnet18", converted)
    changed = [pair.after.name for pair in pairs if pair.after and not pair.equal]
    assert len(changed) == 8
    assert changed[:2] == ["stem.conv", "pool"]


def test_convert_fold_and_fit_budget_take_names_as_the_others_do() -> None:
    converted, report = spdbuild.convert("cifar_resnet20")
    assert report.before == spdbuild.load("cifar_resnet20").graph
    assert spdbuild.fold(converted.text).graph == spdbuild.fold(converted).graph
    assert spdbuild.fit_budget("cifar_resnet20", ["macs=1.5x"]).architecture.name == "cifar_resnet20"


@pytest.mark.parametrize("code", ["import spdbuild", "import spdbuild; spdbuild.convert(spdbuild.load('resnet50'))"])
def test_torch_is_not_imported(code: str) -> None:
    script = f"{code}; import sys; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_picture_is_one_call_and_frames_what_differs() -> None:
    text = "model: m\ninputs: {image: [3, 4, 4]}\nlayers:\n  - c: conv2d(8)\n  - act: relu()\n"
    picture = spdbuild.draw(text)
    assert picture == diagram_svg(spdbuild.load(text).graph)
    differing = spdbuild.draw(text, depth=1, against=text.replace("relu", "silu"))
    assert "against m: 1 layers changed (orange), 0 new (blue), 0 gone" in differing


def test_a_text_is_checked_like_a_file() -> None:
    text = "model: m\ninputs: {image: [3, 4, 4]}\nlayers:\n  - c: conv2d(8)\n"
    assert spdbuild.check(text)[None].parameters == 3 * 8
    with pytest.raises(SourceError, match="are expected here"):
        spdbuild.check(text + "expect: {parameters: 5}\n")


def test_what_is_no_network_is_refused() -> None:
    model = spdbuild.build("cifar_resnet20", device="meta")
    for call in (spdbuild.load, spdbuild.convert, spdbuild.summary, spdbuild.build, spdbuild.fold):
        with pytest.raises(ArgumentError, match="an architecture is a built-in name, .* not a CifarResnet20") as caught:
            call(model)
        assert "spdbuild.import_module" in str(caught.value)


def test_weights_of_other_people_are_told_how_to_import(tmp_path: Path) -> None:
    file = tmp_path / "resnet18.pt"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    with pytest.raises(WeightsError, match="are not in the file") as caught:
        spdbuild.build("resnet18", weights=file)
    assert f"`spdbuild weights import {file} --arch resnet18`" in str(caught.value)
    weights, _ = spdbuild.import_weights(file, "resnet18")
    assert spdbuild.build("resnet18", weights=weights).state_dict().keys() == weights.keys()


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WeightsError, match="the state_dict: 102 of 122 weights are not in the file"):
        spdbuild.build("resnet18", weights={})
    _, report = spdbuild.convert("resnet18")
    weights = spdbuild.build("resnet18").state_dict()
    weights["stem.norm.weight"] = torch.zeros(10)
    message = r"'stem.norm.weight' of resnet18 has the shape \(64,\), and its weight \(10,\)"
    with pytest.raises(WeightsError, match=message):
        spdbuild.transfer(report, weights)


def test_what_is_returned_is_shown_in_a_few_words() -> None:
    architecture = spdbuild.load("yolov5", variant="s", vars={"classes": 4})
    converted, report = spdbuild.convert(architecture)
    assert repr(architecture) == "Architecture(yolov5, variant=s, vars={'classes': 4})"
    assert repr(report) == "ConversionReport(yolov5: 7 replaced, 0 kept)"
    assert str(report).startswith("7 replaced, 0 kept\nparameters  7,")
    assert repr(spdbuild.summary(architecture)).startswith("Summary(yolov5: ")
    assert repr(spdbuild.fold(converted)).startswith("Folding(yolov5_spd_folded: 7 folded, ")
    assert repr(spdbuild.fit_budget("resnet18", "macs=9x")) == "Fit(resnet18: the options as they are)"


def test_an_architecture_can_be_a_key() -> None:
    architecture = spdbuild.load("resnet18")
    assert {architecture: 1}[architecture] == 1
