"""The networks of the zoo compute what the published ones do, with their weights under their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

import spdbuild
from spdbuild import builtin
from spdbuild.loading import Architecture
from spdbuild.nn.detection import Detect
from spdbuild.ops.regularization import StochasticDepth
from spdbuild.weights.matching import describe_module, match_any
from spdbuild.weights.rename import compile_rules, rename

FROM_TORCHVISION = sorted(set(builtin.listed("architectures")) & set(torchvision.models.list_models()))

Weights = Callable[..., dict[str, Tensor]]

#: The last layer of ours that each row of the reference's YOLOv5-SPD ends with.
YOLO_ROWS = {
    0: "backbone.stem.silu",
    1: "backbone.down2.silu",
    2: "backbone.down2.conv_to_depth",
    3: "backbone.p2.fuse.silu",
    6: "backbone.p3.fuse.silu",
    9: "backbone.p4.fuse.silu",
    12: "backbone.c5.fuse.silu",
    13: "backbone.p5.fuse.silu",
    14: "neck.top5.silu",
    16: "neck.concat",
    17: "neck.mix4.fuse.silu",
    21: "neck.out3.fuse.silu",
    23: "neck.down4.conv_to_depth",
    25: "neck.out4.fuse.silu",
    27: "neck.down5.conv_to_depth",
    29: "neck.out5.fuse.silu",
}
RESNET_PARTS = {
    "conv1": "silu",
    "conv2_x": "stage1.rest.1.relu_3",
    "conv3_x": "stage2.rest.2.relu_3",
    "conv4_x": "stage3.rest.4.relu_3",
    "conv5_x": "stage4.rest.1.relu_3",
    "avg_pool": "global_avg_pool",
    "fc": "head",
}


def with_weights(architecture: Architecture, theirs: dict[str, Tensor], table: str) -> nn.Module:
    """The network in float64 and evaluation mode with other people's weights, every one of which must be used."""
    model = spdbuild.build(architecture, device="meta").double()
    state, matching = match_any(describe_module(model), theirs, architecture.renames, table=table)
    assert matching.fits
    model.load_state_dict(state, assign=True)
    return model.eval()


def randomized(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict of a torchvision model, its norms and scales made such that no two channels are alike."""
    generator = torch.Generator().manual_seed(0)

    def fill(name: str, tensor: Tensor) -> Tensor:
        if name.endswith(("running_mean", "bias")):
            return tensor.normal_(0, 0.1, generator=generator)
        vector = name.endswith(("running_var", "layer_scale")) or tensor.dim() == 1
        return tensor.uniform_(0.5, 1.5, generator=generator) if vector else tensor

    return {name: fill(name, tensor) for name, tensor in model.state_dict().items()}


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "vgg" in n else ()) for n in FROM_TORCHVISION]
)
@torch.no_grad()
def test_torchvisions_weights_give_torchvisions_outputs(name: str) -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None).double().eval()
    ours = with_weights(spdbuild.load(name), randomized(theirs), "torchvision")
    for height, width in ((64, 64), (75, 61)):
        image = torch.randn(1, 3, height, width, dtype=torch.float64)
        assert relative_error(ours(image), theirs(image)) < 1e-9


def run_keeping(model: nn.Module, image: NDArray[np.float32], names: list[str]) -> tuple[Any, dict[str, Tensor]]:
    """The outputs of `model`, and those of the layers `names`."""
    kept: dict[str, Tensor] = {}
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: kept.__setitem__(name, out))
    with torch.no_grad():
        return model(torch.from_numpy(image).double()), kept


def assert_layer_agrees(row: dict[str, Any], output: Tensor) -> None:
    """A row of a layers file: sum of absolute values and the first values of one layer."""
    assert float(output.abs().sum()) == pytest.approx(row["sum_abs"], rel=1e-9), row["layer"]
    assert output.flatten()[:8].tolist() == pytest.approx(row["first8"], rel=1e-9, abs=1e-12), row["layer"]


@pytest.mark.parametrize("kind", ["", ".he"])
def test_yolov5_spd_gives_the_published_codes_outputs(golden: Path, golden_weights: Weights, kind: str) -> None:
    file = np.load(golden / f"yolov5_spd_n{kind}.npz")
    weights = golden_weights(f"yolov5_spd_n{kind}", anchors=file["anchors_buffer"])
    model = with_weights(spdbuild.load("yolov5_spd", variant="n"), weights, "spd_conv")
    outputs, layers = run_keeping(model, file["input"], list(YOLO_ROWS.values()))
    rows = json.loads((golden / f"yolov5_spd_n{kind}.layers.json").read_text())
    for number, name in YOLO_ROWS.items():
        assert_layer_agrees(rows[number], layers[name])
    for level, output in enumerate(outputs):
        assert relative_error(output, torch.from_numpy(file[f"out{level}"])) < 1e-9
    head = model.get_submodule("head.detect")
    assert isinstance(head, Detect)
    decoded = head.decode(outputs)
    assert relative_error(decoded, torch.from_numpy(file["decoded"])) < 1e-9


@pytest.mark.parametrize("kind", ["", ".he"])
def test_converting_yolov5_by_the_preset_gives_the_published_network(
    golden: Path, golden_weights: Weights, kind: str
) -> None:
    file = np.load(golden / f"yolov5_spd_n{kind}.npz")
    weights = golden_weights(f"yolov5_spd_n{kind}", anchors=file["anchors_buffer"])
    published = with_weights(spdbuild.load("yolov5_spd", variant="n"), weights, "spd_conv")
    converted, _ = spdbuild.convert(spdbuild.load("yolov5", variant="n"), "released-yolov5", strict=True)
    model = spdbuild.build(converted, device="meta").double().eval()
    model.load_state_dict(published.state_dict(), assign=True)
    outputs, _ = run_keeping(model, file["input"], [])
    for level, output in enumerate(outputs):
        assert relative_error(output, torch.from_numpy(file[f"out{level}"])) < 1e-9


def test_resnet50_spd_gives_the_published_codes_outputs(golden: Path, golden_weights: Weights) -> None:
    file = np.load(golden / "resnet50_spd_cifar10.he.npz")
    weights = golden_weights("resnet50_spd_cifar10.he")
    model = with_weights(spdbuild.load("resnet50_spd_cifar10"), weights, "spd_conv")
    output, layers = run_keeping(model, file["input"], list(RESNET_PARTS.values()))
    for row in json.loads((golden / "resnet50_spd_cifar10.he.layers.json").read_text()):
        assert_layer_agrees(row, layers[RESNET_PARTS[row["layer"]]])
    assert relative_error(output, torch.from_numpy(file["out"])) < 1e-9


def test_resnet50_spd_gives_the_published_numbers_with_plain_weights(golden: Path, golden_weights: Weights) -> None:
    """For this set there is no array, but the mean, the deviation and the first of the outputs are known."""
    weights = golden_weights("resnet50_spd_cifar10")
    model = with_weights(spdbuild.load("resnet50_spd_cifar10"), weights, "spd_conv")
    image = np.random.default_rng(7).standard_normal((1, 3, 32, 32)).astype(np.float32)
    output, _ = run_keeping(model, image, [])
    assert float(output[0, 0]) == pytest.approx(-25.232803914937875, rel=1e-9)
    assert float(output.mean()) == pytest.approx(19.1976, rel=1e-5)
    assert float(output.std()) == pytest.approx(773.965, rel=1e-5)


@pytest.mark.parametrize("variant", ["n", "s", "m", "l"])
def test_the_table_of_yolov5_spd_reaches_every_name_of_each_size(variant: str) -> None:
    """Entries of the released state_dicts: 349, 349, 481 and 613."""
    architecture = spdbuild.load("yolov5_spd", variant=variant)
    rules = compile_rules(architecture.renames["spd_conv"])
    names = spdbuild.build(architecture, device="meta").state_dict()
    theirs = {rename(name, rules) for name in names}
    assert len(theirs) == len(names) == {"n": 349, "s": 349, "m": 481, "l": 613}[variant]
    assert {name.split(".")[0] for name in theirs} == {"model"}


def test_the_table_of_yolov5_names_the_rows_that_correspond_to_those_of_yolov5_spd() -> None:
    """YOLOv5-SPD's rows are YOLOv5's with a space_to_depth behind each strided one; its stem is wrapped once more."""
    rows = [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 25, 26, 28, 29, 30]
    tables = spdbuild.load("yolov5_spd", variant="n").renames
    plain, spd = compile_rules(tables["yolov5"]), compile_rules(tables["spd_conv"])
    names = spdbuild.build(spdbuild.load("yolov5", variant="n"), device="meta").state_dict()
    assert len({rename(name, plain) for name in names}) == len(names) == 349
    for name in names:
        row, _, rest = rename(name, plain).removeprefix("model.").partition(".")
        expected = f"model.{rows[int(row)]}.{rest}" if row != "0" else f"model.0.conv.{rest}"
        assert rename(name, spd) == expected


def test_a_fresh_yolov5_spd_has_the_published_anchors(golden: Path) -> None:
    fresh = spdbuild.build(spdbuild.load("yolov5_spd", variant="n")).get_buffer("head.detect.anchors")
    assert fresh.tolist() == np.load(golden / "yolov5_spd_n.npz")["anchors_buffer"].tolist()


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny"])
def test_branches_are_dropped_at_torchvisions_rates(name: str) -> None:
    """A block without a shortcut has the module too, and never calls it."""
    blocks = [m for m in getattr(torchvision.models, name)().modules() if hasattr(m, "stochastic_depth")]
    used = [block.stochastic_depth.p for block in blocks if getattr(block, "use_res_connect", True)]
    ours = [node.op.rate for node in spdbuild.load(name).graph if isinstance(node.op, StochasticDepth)]
    assert ours == pytest.approx([rate for rate in used if rate > 0])
