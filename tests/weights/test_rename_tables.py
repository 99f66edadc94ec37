"""Every rename table of every architecture: each weight finds exactly one of the other side, and none is left over.

The other side is torchvision itself, or a list of names: of published networks, or of timm's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.models.resnet import BasicBlock, ResNet

from spdbuild.loading import Architecture, load
from spdbuild.modules import compile_graph
from spdbuild.weights import compile_rules, describe_module, rename

FOLDER = Path(__file__).parents[2] / "architectures"


def load_smallest(name: str) -> Architecture:
    return load(str(FOLDER / f"{name}.yaml"), variant="n" if "yolo" in name else None)


TABLES = [(path.stem, table) for path in sorted(FOLDER.glob("*.yaml")) for table in load_smallest(path.stem).renames]

Shapes = Mapping[str, tuple[int, ...]]

#: Networks that are torchvision's but for some shapes, and so have its names.
RELATIVES = {
    "cifar_resnet18": "resnet18",
    "cifar_resnet50": "resnet50",
    "tiny_imagenet_resnet18": "resnet18",
    "tiny_imagenet_resnet50": "resnet50",
    "resnet18_spd_tiny_imagenet": "resnet18",
    "resnet18_spd_tiny_imagenet_released": "resnet50",
    "resnet50_spd_cifar10": "resnet50",
}
#: Networks that torchvision's class can build, but for its fourth stage.
BLOCKS = {"cifar_resnet20": 3, "cifar_resnet56": 9}
#: Published networks and the golden list of their names; the two ResNets differ in their heads alone.
PUBLISHED = {
    "yolov5_spd": "yolov5_spd_n",
    "resnet50_spd_cifar10": "resnet50_spd_cifar10",
    "resnet18_spd_tiny_imagenet_released": "resnet50_spd_cifar10",
}


def renamed(name: str, table: str) -> list[tuple[str, tuple[int, ...]]]:
    """Their names for our weights, with our shapes, in our order."""
    architecture = load_smallest(name)
    rules = compile_rules(architecture.renames[table])
    target = describe_module(compile_graph(architecture.graph, "meta"))
    return [(rename(ours, rules), info.shape) for ours, info in target.items()]


def torchvision_names(name: str) -> Shapes:
    """The state_dict of torchvision's network of this name, or of the one that this is made from."""
    with torch.device("meta"):
        if name in BLOCKS:
            model = ResNet(BasicBlock, [BLOCKS[name]] * 3 + [1])
        else:
            builder = torchvision.models.get_model_builder(RELATIVES.get(name, name))
            model = builder(weights=None, **({"init_weights": False} if name == "vgg16_bn" else {}))
    state = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    return {key: shape for key, shape in state.items() if name not in BLOCKS or not key.startswith("layer4.")}


def published_names(name: str, golden: Path) -> Shapes:
    keys = json.loads((golden / f"{PUBLISHED[name]}.keys.json").read_text())["keys"]
    return {key: tuple(shape) for key, shape in keys}


def yolov5_names(golden: Path) -> set[str]:
    """The names of YOLOv5 v6.0: YOLOv5-SPD's without its rows of space-to-depth, and without Focus as the stem."""
    rows = json.loads((golden / "yolov5_spd_n.layers.json").read_text())
    spd = [index for index, row in enumerate(rows) if row["type"] == "space_to_depth"]
    names = set()
    for key in published_names("yolov5_spd", golden):
        _, row, rest = key.split(".", 2)
        names.add(f"model.{int(row) - sum(index < int(row) for index in spd)}.{rest}")
    return {name.replace("model.0.conv.", "model.0.") for name in names}


def timm_names() -> set[str]:
    """The names of timm 1.0's mobilenetv2_100, which is not installed here."""
    norms = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    shallow, deep = ("conv_dw", "conv_pw"), ("conv_pw", "conv_dw", "conv_pwl")
    blocks = [
        (f"blocks.{stage}.{block}.", deep if stage else shallow)
        for stage, depth in enumerate((1, 2, 3, 4, 3, 3, 1))
        for block in range(depth)
    ]
    layers = [(f"{prefix}{conv}", f"{prefix}bn{i}") for prefix, convs in blocks for i, conv in enumerate(convs, 1)]
    layers += [("conv_stem", "bn1"), ("conv_head", "bn2")]
    names = {f"{conv}.weight" for conv, _ in layers} | {f"{norm}.{part}" for _, norm in layers for part in norms}
    return names | {"classifier.weight", "classifier.bias"}


def without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def test_there_are_architectures_with_tables() -> None:
    assert len(list(FOLDER.glob("*.yaml"))) >= 10
    assert {table for _, table in TABLES} == {"torchvision", "timm", "yolov5", "spd_conv"}


@pytest.mark.parametrize(("name", "table"), TABLES, ids=[f"{name}-{table}" for name, table in TABLES])
def test_both_sides_of_a_table_are_used_up(name: str, table: str, request: pytest.FixtureRequest) -> None:
    ours = [theirs for theirs, _ in renamed(name, table)]
    if table == "torchvision":
        expected = set(torchvision_names(name))
    elif table == "timm":
        expected = timm_names()
    elif table == "spd_conv":
        expected = set(published_names(name, request.getfixturevalue("golden")))
    else:
        expected = yolov5_names(request.getfixturevalue("golden"))
    assert sorted(ours) == sorted(expected)


SAME = sorted({name for name, table in TABLES if table == "torchvision"} - RELATIVES.keys() - BLOCKS.keys())


@pytest.mark.parametrize("name", SAME)
def test_the_shapes_are_torchvisions(name: str) -> None:
    """A linear layer over pixels may be a 1x1 convolution."""
    theirs = torchvision_names(name)
    assert {key: without_ones(shape) for key, shape in renamed(name, "torchvision")} == {
        key: without_ones(shape) for key, shape in theirs.items()
    }


@pytest.mark.parametrize("name", ["yolov5_spd", "resnet50_spd_cifar10"])
def test_the_shapes_are_the_published_ones(name: str, golden: Path) -> None:
    assert dict(renamed(name, "spd_conv")) == published_names(name, golden)
