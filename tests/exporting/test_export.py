"""What is in the exported files, as those see it who run them without spdbuild."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

import spdbuild
from spdbuild.errors import ArgumentError, RunError
from spdbuild.exporting.export import Export
from spdbuild.exporting.formats.onnx import Onnx
from spdbuild.exporting.formats.pt2 import Pt2
from spdbuild.weights import file_sha256, save_weights


def run_onnx(file: Path, images: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": images.numpy()})[0])


def run_pt2(file: Path, images: Tensor) -> Tensor:
    return torch.export.load(file).module()(images)


#: A file for any batch, by network, suffix, and whether space-to-depth was kept.
Made = Callable[..., Export]


@pytest.fixture(scope="module")
def made(networks: Path) -> Made:
    """Exports each network once in each form, because writing ONNX takes seconds."""

    @functools.cache
    def made(network: str, suffix: str, keep: bool = False) -> Export:
        file = networks / f"{network}_{'kept' if keep else 'folded'}{suffix}"
        return spdbuild.export(networks / f"{network}.yaml", file, networks / f"{network}.st", batch=None, keep=keep)

    return made


def network(networks: Path, name: str) -> torch.nn.Module:
    return spdbuild.build(networks / f"{name}.yaml", networks / f"{name}.st").eval()


@pytest.mark.parametrize("keep", [False, True], ids=["folded", "kept"])
@pytest.mark.parametrize(("suffix", "run"), [(".onnx", run_onnx), (".pt2", run_pt2)], ids=["onnx", "pt2"])
def test_a_classifier_gives_its_logits_for_any_batch(networks: Path, made: Made, suffix: str, run: Any, keep: bool):
    exported = made("small", suffix, keep)
    assert exported.outputs == {"logits": (5,)}
    for batch in (1, 7):
        images = torch.randn(batch, 3, 12, 10)
        torch.testing.assert_close(run(exported.file, images), network(networks, "small")(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("keep", [False, True], ids=["folded", "kept"])
def test_only_what_was_kept_moves_pixels_into_channels(made: Made, keep: bool):
    ops = {node.op_type for node in onnx.load(made("small", ".onnx", keep).file).graph.node}
    assert ("Transpose" in ops) == keep


def test_a_detector_gives_boxes_in_pixels_and_probabilities(networks: Path, made: Made):
    exported = made("finder", ".onnx")
    assert exported.outputs == {"detections": (2 * 4 * 4 + 2 * 2 * 2, 7)}
    images = torch.rand(3, 3, 32, 32)
    model = network(networks, "finder")
    torch.testing.assert_close(run_onnx(exported.file, images), model.boxes.decode(model(images)), rtol=1e-4, atol=1e-4)


def test_a_detector_gives_its_maps_on_request(networks: Path, tmp_path: Path):
    file = tmp_path / "a.pt2"
    exported = spdbuild.export(networks / "finder.yaml", file, networks / "finder.st", raw=True)
    assert exported.outputs == {"boxes_0": (2, 4, 4, 7), "boxes_1": (2, 2, 2, 7)}
    images, model = torch.rand(1, 3, 32, 32), network(networks, "finder")
    maps = list(run_pt2(file, images))
    torch.testing.assert_close(maps, model(images), rtol=1e-4, atol=1e-4)
    # By what the file says of its head, and nothing else.
    assert "(2 s - 0.5 + column) stride" in exported.card["outputs"]["boxes_0"]
    head, rows = exported.card["head"], []
    for level, stride, anchors in zip(maps, head["strides"], head["anchors"], strict=True):
        share = level.sigmoid()
        row, column = torch.meshgrid(*map(torch.arange, level.shape[2:4]), indexing="ij")
        sizes = (2 * share[..., 2:4]) ** 2 * torch.tensor(anchors)[:, None, None]
        centre = (2 * share[..., :2] - 0.5 + torch.stack((column, row), dim=-1)) * stride
        rows.append(torch.cat((centre, sizes, share[..., 4:]), dim=-1).flatten(1, 3))
    torch.testing.assert_close(torch.cat(rows, dim=1), model.boxes.decode(model(images)), rtol=1e-4, atol=1e-4)


def test_a_file_says_how_it_is_to_be_used(networks: Path, made: Made):
    told = {entry.key: entry.value for entry in onnx.load(made("finder", ".onnx").file).metadata_props}
    meaning = json.loads(told.pop("outputs"))["detections"]
    assert meaning.startswith("[N, boxes, 5 + classes]: x and y of the centre, width and height in pixels")
    assert told == {
        "spdbuild": spdbuild.__version__,
        "architecture": "finder",
        "task": "detection",
        "precision": "fp32",
        "inputs": '{"image": [3, 32, 32]}',
        "classes": '["round", "square"]',
        "channels": "RGB",
        "preprocess": '[{"name": "letterbox", "fill": 114, "at": "centre", "enlarge": true, "filter": "bilinear, '
        'antialiased"}, {"name": "divide", "by": 255}]',
        "weights": "finder.st",
        "weights_sha256": file_sha256(networks / "finder.st"),
    }


def test_a_program_has_the_same_facts_in_a_file_of_its_own(made: Made):
    exported = made("small", ".pt2")
    files = {"spdbuild.json": ""}
    torch.export.load(exported.file, extra_files=files)
    assert json.loads(files["spdbuild.json"]) == exported.card


def test_axes_and_weights_have_names_that_people_know(made: Made):
    graph = onnx.load(made("small", ".onnx", True).file).graph
    assert [graph.input[0].name, graph.output[0].name] == ["image", "logits"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert {"down.weight", "head.bias"} <= {weight.name for weight in graph.initializer}


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_tells_nothing_of_the_machine_that_wrote_it(made: Made, suffix: str):
    content = made("small", suffix, True).file.read_bytes()
    assert str(Path(spdbuild.__file__).parent).encode() not in content


def test_another_size_is_exported_on_request(networks: Path, tmp_path: Path):
    file = tmp_path / "a.pt2"
    exported = spdbuild.export(networks / "finder.yaml", file, networks / "finder.st", inputs=[(3, 64, 32)])
    assert exported.to_dict()["input"] == [3, 64, 32]
    assert run_pt2(file, torch.rand(1, 3, 64, 32)).shape == (1, 2 * 8 * 4 + 2 * 4 * 2, 7)


@pytest.mark.parametrize("keep", [False, True], ids=["folded", "kept"])
@pytest.mark.parametrize(("suffix", "run"), [(".onnx", run_onnx), (".pt2", run_pt2)], ids=["onnx", "pt2"])
def test_any_size_in_whole_cells(networks: Path, tmp_path: Path, suffix: str, run: Any, keep: bool):
    file = tmp_path / f"a{suffix}"
    exported = spdbuild.export(
        networks / "small.yaml", file, networks / "small.st", inputs=[(3, 12, 8)], any_size=True, keep=keep
    )
    assert (exported.calls.cell, exported.outputs) == ((4, 4), {"logits": (5,)})
    for height, width in ((8, 8), (20, 44), (12, 8)):
        images = torch.randn(1, 3, height, width)
        torch.testing.assert_close(run(file, images), network(networks, "small")(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("suffix", "run"), [(".onnx", run_onnx), (".pt2", run_pt2)], ids=["onnx", "pt2"])
def test_boxes_of_images_of_any_size_are_in_their_own_pixels(networks: Path, tmp_path: Path, suffix: str, run: Any):
    file = tmp_path / f"a{suffix}"
    exported = spdbuild.export(networks / "finder.yaml", file, networks / "finder.st", batch=None, any_size=True)
    assert exported.outputs == {"detections": (None, 7)}
    assert exported.card["cell"] == [16, 16]
    model = network(networks, "finder")
    for batch, height, width in ((1, 32, 80), (3, 96, 48)):
        images = torch.rand(batch, 3, height, width)
        torch.testing.assert_close(run(file, images), model.boxes.decode(model(images)), rtol=1e-4, atol=1e-4)


def test_axes_of_any_length_have_names(networks: Path, tmp_path: Path):
    file = tmp_path / "a.onnx"
    spdbuild.export(networks / "finder.yaml", file, networks / "finder.st", batch=None, any_size=True, raw=True)
    graph = onnx.load(file).graph
    named = {
        entry.name: [axis.dim_param or axis.dim_value for axis in entry.type.tensor_type.shape.dim]
        for entry in (*graph.input, *graph.output)
    }
    maps = ["batch", 2, 0, 0, 7]
    assert named == {"image": ["batch", 3, "height", "width"], "boxes_0": maps, "boxes_1": maps}


def test_a_file_that_computes_something_else_is_not_kept(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    load = Pt2.load

    def tampered(self: Pt2, path: Path) -> Any:
        run = load(self, path)
        return lambda inputs: [output + 1 for output in run(inputs)]

    monkeypatch.setattr(Pt2, "load", tampered)
    Path("a.pt2").write_text("what was there before")
    with pytest.raises(RunError) as caught:
        spdbuild.export(classifier, "a.pt2", "small.st")
    message = r"a\.pt2 was not written: it differs from the network by \S+ \(absolute 1\.0e\+00\), more than 0\.0001"
    assert caught.match(message)
    assert Path("a.pt2").read_text() == "what was there before"


def test_probabilities_of_a_detector_are_not_measured_by_its_pixels(
    networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    load = Pt2.load

    def tampered(self: Pt2, path: Path) -> Any:
        run = load(self, path)
        # Of 1, and less than 0.0001 of the boxes' tens of pixels.
        return lambda inputs: [output + 1e-3 * (torch.arange(7) == 4) for output in run(inputs)]

    monkeypatch.setattr(Pt2, "load", tampered)
    with pytest.raises(RunError, match=r"differs from the network by \S+ \(absolute 1\.0e-03\)"):
        spdbuild.export(networks / "finder.yaml", tmp_path / "a.pt2", networks / "finder.st")


def test_numbers_that_are_none_are_a_difference(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Pt2, "load", lambda self, path: lambda inputs: [torch.full((1, 5), torch.nan)])
    with pytest.raises(RunError, match="a.pt2 was not written: it differs from the network by nan"):
        spdbuild.export(classifier, "a.pt2", "small.st", tolerance=1e9)


def test_outputs_of_another_shape_are_a_difference(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Pt2, "load", lambda self, path: lambda inputs: [torch.zeros(1, 5)])
    with pytest.raises(RunError) as caught:
        spdbuild.export(classifier, "a.pt2", "small.st", batch=2)
    assert str(caught.value) == (
        "error: the outputs of the network have the shapes [[2, 5]], and those of the file [[1, 5]]\n"
        "      = hint: an op is not the same in this format: try another, or one size and one batch"
    )


def test_a_file_that_onnx_runtime_does_not_load_is_not_kept(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Onnx, "write", lambda self, program, path, *rest: path.write_bytes(b"no graph"))
    with pytest.raises(RunError, match="error: ONNX Runtime does not load the file: "):
        spdbuild.export(classifier, "a.onnx", "small.st")
    assert not Path("a.onnx").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("kind", [Onnx, Pt2])
def test_an_export_that_is_cut_off_leaves_nothing(
    classifier: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any], error: type[BaseException]
):
    def cut_off(self: Any, program: Any, path: Path, *rest: Any) -> int:
        path.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(kind, "write", cut_off)
    with pytest.raises(error):
        spdbuild.export(classifier, f"a{kind.suffix}", "small.st")
    assert {path.name for path in Path().iterdir()} == {"small.yaml", "small.st"}


@pytest.mark.parametrize("suffix", [pytest.param(".onnx", marks=pytest.mark.slow), ".pt2"])
def test_threads_may_export_at_the_same_time(classifier: Path, suffix: str):
    together = threading.Barrier(3)

    def export(number: int) -> Export:
        together.wait()
        return spdbuild.export(classifier, f"{number}{suffix}", "small.st")

    with ThreadPoolExecutor(3) as threads:
        exported = list(threads.map(export, range(3)))
    assert [file.file for file in exported] == [Path(f"{number}{suffix}") for number in range(3)]
    assert all(file.parity.relative < 1e-4 for file in exported)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cifar_resnet20", "mobilenet_v2"])
def test_converted_classifiers_of_the_zoo(tmp_path: Path, weigh: Any, name: str):
    strided = spdbuild.load(name, inputs=[(3, 32, 32)])
    converted, _ = spdbuild.convert(strided)
    exported = spdbuild.export(converted, tmp_path / "a.onnx", weigh(converted, tmp_path / "w.st"), batch=None)
    assert exported.folding.folded
    images = torch.randn(2, 3, 32, 32)
    expected = spdbuild.build(converted, tmp_path / "w.st").eval()(images)
    assert (run_onnx(exported.file, images) - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [False, True], ids=["folded", "kept"])
def test_the_published_detector(tmp_path: Path, weigh: Any, keep: bool):
    architecture = spdbuild.load("yolov5_spd", variant="n", vars={"classes": 2}, inputs=[(3, 64, 64)])
    exported = spdbuild.export(architecture, tmp_path / "a.onnx", weigh(architecture, tmp_path / "w.st"), keep=keep)
    assert exported.outputs == {"detections": (3 * (8 * 8 + 4 * 4 + 2 * 2), 7)}
    images = torch.rand(1, 3, 64, 64)
    model = spdbuild.build(architecture, tmp_path / "w.st").eval()
    expected = model.head.detect.decode(model(images))
    torch.testing.assert_close(run_onnx(exported.file, images), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["small", "finder"])
@pytest.mark.parametrize(("suffix", "run"), [(".onnx", run_onnx), (".pt2", run_pt2)], ids=["onnx", "pt2"])
def test_half_precision_is_that_of_the_layers_alone(networks: Path, tmp_path: Path, name: str, suffix: str, run: Any):
    file = tmp_path / f"a{suffix}"
    exported = spdbuild.export(networks / f"{name}.yaml", file, networks / f"{name}.st", precision="fp16")
    assert (exported.card["precision"], exported.tolerance) == ("fp16", 1e-2)
    assert 1e-5 < exported.parity.relative < 1e-2
    whole = spdbuild.export(networks / f"{name}.yaml", tmp_path / f"b{suffix}", networks / f"{name}.st")
    images = torch.rand(1, *exported.graph.inputs[0].shape)
    found = run(file, images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, run(whole.file, images), rtol=1e-2, atol=1e-2)
    if suffix == ".onnx":
        weights = {weight.name: weight.data_type for weight in onnx.load(file).graph.initializer}
        layers = {kind for key, kind in weights.items() if key.endswith((".weight", ".bias"))}
        assert layers == {onnx.TensorProto.FLOAT16}
    else:
        program = torch.export.load(file)
        kinds = {key: tensor.dtype for key, tensor in program.state_dict.items()}
        assert {kind for key, kind in kinds.items() if "anchors" not in key} == {torch.float16}


def test_half_precision_is_held_to_the_tolerance(networks: Path, tmp_path: Path):
    with pytest.raises(RunError, match="more than 1e-06"):
        spdbuild.export(
            networks / "small.yaml", tmp_path / "a.pt2", networks / "small.st", precision="fp16", tolerance=1e-6
        )
    with pytest.raises(ArgumentError, match="precision must be one of fp32, fp16, got 'int8'"):
        spdbuild.export(networks / "small.yaml", tmp_path / "a.pt2", networks / "small.st", precision="int8")  # type: ignore[arg-type]


def test_a_state_dict_is_exported_as_a_file_of_it(tmp_path: Path) -> None:
    architecture = spdbuild.load("cifar_resnet20")
    state = spdbuild.build(architecture).state_dict()
    exported = spdbuild.export(architecture, tmp_path / "a.pt2", state)
    assert not {"weights", "weights_sha256"} & exported.card.keys()
    save_weights(tmp_path / "a.safetensors", state)
    spdbuild.export(architecture, tmp_path / "b.pt2", tmp_path / "a.safetensors")
    x = torch.randn(1, 3, 32, 32)
    one, other = (torch.export.load(tmp_path / name).module()(x) for name in ("a.pt2", "b.pt2"))
    assert torch.equal(one, other)
