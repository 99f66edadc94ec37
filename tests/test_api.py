"""What the command line does is one call from Python, and the package is imported at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spdbuild
from spdbuild.diagram import diagram_svg
from spdbuild.errors import ArgumentError, SourceError, WeightsError


def test_the_example_of_the_contract() -> None:
    architecture = spdbuild.load("yolov5", variant="n", vars={"classes": 4})
    converted, report = spdbuild.convert(architecture, placement="after", after="act")
    model = spdbuild.build(converted, device="meta")
    assert sum(p.numel() for p in model.parameters()) == spdbuild.summary(converted).parameters
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
        with pytest.raises(ArgumentError, match="an architecture is a built-in .* object of CifarResnet20") as caught:
            call(model)
        assert "spdbuild.import_module" in str(caught.value)


@pytest.mark.parametrize("device", ["bogus", "auto", "cuda:77", 3.5])
def test_a_device_that_is_not_there_is_refused(device: object) -> None:
    with pytest.raises(ArgumentError, match=f"there is no device '{device}' here"):
        spdbuild.build("cifar_resnet20", device=device)  # type: ignore[arg-type]


def test_a_model_without_memory_takes_no_weights() -> None:
    weights = spdbuild.build("cifar_resnet20").state_dict()
    for device in ("meta", torch.device("meta")):
        with pytest.raises(ArgumentError, match="a model on the meta device cannot hold weights"):
            spdbuild.build("cifar_resnet20", weights, device)
    built = spdbuild.build("cifar_resnet20", weights, torch.device("cpu")).state_dict()
    assert not {tensor.data_ptr() for tensor in built.values()} & {tensor.data_ptr() for tensor in weights.values()}


def test_an_argument_of_another_kind_is_told() -> None:
    architecture, model = spdbuild.load("cifar_resnet20"), spdbuild.build("cifar_resnet20")
    assert spdbuild.check(architecture) == {None: architecture.graph}
    wrong = [
        (lambda: spdbuild.evaluate(model), "a trained model is the folder of a run or a recipe, got an object"),
        (lambda: spdbuild.load_model(model), "a trained model is the folder of a run or a recipe, got an object of"),
        (lambda: spdbuild.resume(model), "a run is a folder, got an object of CifarResnet20"),
        (lambda: spdbuild.build(architecture, weights=model), "weights are a file or a state_dict"),
        (lambda: spdbuild.build(architecture, weights={"a": np.ones(2)}), "a state_dict has tensors by name"),
        (lambda: spdbuild.convert(architecture.graph), "an architecture is .* got an object of Graph"),
        (lambda: spdbuild.verify(architecture, model, []), r"model_a must be a torch\.nn\.Module, got a"),
        (lambda: spdbuild.verify(model, model), "modules need inputs to run on"),
        (lambda: spdbuild.verify(model, model, [], weights_b={}), "a module has its weights already"),
    ]
    for call, message in wrong:
        with pytest.raises(ArgumentError, match=message):
            call()


def test_a_notebook_shows_tables_and_pictures() -> None:
    html = spdbuild.summary("cifar_resnet20")._repr_html_()
    assert html.count("<tr>") == 1 + 72
    assert "<td>stem.conv</td><td>conv2d</td><td>16x32x32</td>" in html
    picture = spdbuild.draw("cifar_resnet20")
    assert isinstance(picture, str)
    assert picture._repr_svg_() == picture


#: With the names of other people: what they call conv1 and fc.
RENAMED = """\
model: renamed
inputs: {image: [3, 8, 8]}
rename: {theirs: {stem: conv1, head: fc}}
layers:
  - stem: spd_conv2d(4, 3, stride=2)
  - norm: batch_norm()
  - global_avg_pool()
  - head: linear(5)
"""


def test_weights_of_other_people_are_taken_by_the_rename_tables_of_the_architecture(tmp_path: Path) -> None:
    ours, file = spdbuild.build(RENAMED).eval(), tmp_path / "theirs.pt"
    names = {"stem": "conv1", "head": "fc", "norm": "norm"}
    theirs = {
        f"module.{names[layer]}.{part}": tensor
        for (layer, _, part), tensor in ((name.partition("."), tensor) for name, tensor in ours.state_dict().items())
    }
    torch.save(theirs, file)
    x = torch.randn(2, 3, 8, 8)
    for weights in (file, theirs):
        assert torch.equal(spdbuild.build(RENAMED, weights).eval()(x), ours(x))
        folding = spdbuild.fold(RENAMED, weights)
        torch.testing.assert_close(spdbuild.build(folding.graph, folding.weights).eval()(x), ours(x))
    spdbuild.export(RENAMED, tmp_path / "a.pt2", file, batch=2)
    torch.testing.assert_close(torch.export.load(tmp_path / "a.pt2").module()(x), ours(x))
    imported, _ = spdbuild.import_weights(file, RENAMED)
    assert imported.keys() == ours.state_dict().keys()


def test_one_network_of_a_checkpoint_is_built(tmp_path: Path) -> None:
    file, state = tmp_path / "two.pt", spdbuild.build(RENAMED).state_dict()
    torch.save({"model": state, "ema": {name: tensor * 2 for name, tensor in state.items()}}, file)
    for key, factor in (("model", 1), ("ema", 2)):
        built = spdbuild.build(RENAMED, spdbuild.StoredWeights(file, key)).state_dict()
        assert torch.equal(built["head.bias"], factor * state["head.bias"])


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WeightsError, match="the state_dict: 102 of 122 weights are not in it"):
        spdbuild.build("resnet18", weights={})
    _, report = spdbuild.convert("resnet18")
    weights = spdbuild.build("resnet18").state_dict()
    weights["stem.norm.weight"] = torch.zeros(10)
    message = r"'stem.norm.weight' of resnet18 has the shape \(64,\), and its weight \(10,\)"
    with pytest.raises(WeightsError, match=message):
        spdbuild.transfer(report, weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {"a": torch.ones(1)}, "the state_dict: "),
        (lambda state: spdbuild.build("cifar_resnet20").state_dict(), "the state_dict: "),
        (lambda state: state | {"head.bias": torch.ones(4)}, "the state_dict: 'head.bias' needs 5, has 4"),
    ],
    ids=["a name", "another network", "a shape"],
)
def test_weights_of_another_network_are_not_folded(change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        spdbuild.fold(RENAMED, change(spdbuild.build(RENAMED).state_dict()))


def test_weights_under_the_names_of_the_network_are_folded_in_their_type() -> None:
    folding = spdbuild.fold(RENAMED, spdbuild.build(RENAMED).double().state_dict())
    assert folding.weights is not None
    assert {tensor.dtype for tensor in folding.weights.values()} == {torch.float64}


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


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (lambda model: model, "weights are a file or a state_dict, got an object of Renamed", "give its state_dict()"),
        (lambda model: (model.state_dict(), None), "got an object of tuple", "give the first: weights[0]"),
        (
            lambda model: {name: tensor.numpy() for name, tensor in model.state_dict().items()},
            "a state_dict has tensors by name, and 'stem.weight' is a ndarray",
            "torch.from_numpy makes tensors of arrays",
        ),
        (lambda model: 5, "weights are a file or a state_dict, got an object of int", ""),
    ],
    ids=["module", "pair", "arrays", "number"],
)
def test_what_are_no_weights_is_refused(given: Callable[[Any], Any], message: str, hint: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        spdbuild.build(RENAMED, given(spdbuild.build(RENAMED)))
    problem = caught.value.problems[0]
    assert message in problem.message
    assert problem.hint.endswith(hint)


def test_networks_of_one_seed_share_the_layers_that_are_in_both() -> None:
    generator = torch.get_rng_state()
    strided = spdbuild.build("cifar_resnet20", seed=3).state_dict()
    spd = spdbuild.build(spdbuild.convert("cifar_resnet20")[0], seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), generator)
    shared = [name for name in strided if strided[name].shape == spd[name].shape]
    assert len(strided) - len(shared) == 4
    assert all(torch.equal(strided[name], spd[name]) for name in shared)
    other = spdbuild.build("cifar_resnet20", seed=4).state_dict()
    assert not torch.equal(strided["head.weight"], other["head.weight"])
