"""Every file of the zoo has the counts that others know of its network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import spdbuild
from spdbuild import builtin
from spdbuild.loading import read_document
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.text.source import read_source

FILES = builtin.listed("architectures")
VARIANTS = {name: tuple(read_document(read_source(path)).variants) or (None,) for name, path in FILES.items()}
EVERY_NETWORK = pytest.mark.parametrize(("name", "variant"), [(n, v) for n, listed in VARIANTS.items() for v in listed])
FROM_TORCHVISION = sorted(set(FILES) & set(torchvision.models.list_models()))

#: Parameters by file and variant. YOLOv5: what its own logs print. The others: counts of the instantiated networks,
#: which are those that the SPD-Conv repository released and, for the plain ones, weiaicunzai/pytorch-cifar100's.
PUBLISHED_PARAMETERS = {
    ("yolov5", "n"): 1_872_157,
    ("yolov5", "s"): 7_235_389,
    ("yolov5", "m"): 21_190_557,
    ("yolov5", "l"): 46_563_709,
    ("yolov5", "x"): 86_749_405,
    ("yolov5_spd", "n"): 2_256_157,
    ("yolov5_spd", "s"): 8_771_389,
    ("yolov5_spd", "m"): 24_646_557,
    ("yolov5_spd", "l"): 52_707_709,
    ("resnet50_spd_cifar10", None): 27_838_436,
    ("resnet18_spd_tiny_imagenet", None): 20_565_576,
    ("resnet18_spd_tiny_imagenet_released", None): 28_043_336,
    ("cifar_resnet18", None): 11_173_962,
    ("cifar_resnet50", None): 23_520_842,
}
#: The same with other numbers of classes.
PUBLISHED_BY_CLASSES = [
    ("resnet50_spd_cifar10", 10, 27_654_026),
    ("cifar_resnet18", 100, 11_220_132),
    ("cifar_resnet18", 200, 11_271_432),
    ("cifar_resnet50", 100, 23_705_252),
    ("cifar_resnet50", 200, 23_910_152),
]
#: MACs of convolutions and linear layers, counted on the released networks.
PUBLISHED_MACS = {
    ("yolov5", "n"): 2_234_060_800,
    ("yolov5", "s"): 8_216_780_800,
    ("yolov5", "m"): 24_436_224_000,
    ("yolov5", "l"): 54_496_870_400,
    ("yolov5", "x"): 102_724_096_000,
    ("yolov5_spd", "n"): 4_396_748_800,
    ("yolov5_spd", "s"): 16_867_532_800,
    ("yolov5_spd", "m"): 43_900_416_000,
    ("yolov5_spd", "l"): 89_099_878_400,
    ("resnet50_spd_cifar10", None): 446_889_984 + 204_800,
    ("resnet18_spd_tiny_imagenet_released", None): 1_787_559_936 + 409_600,
}


def torch_macs(model: nn.Module, size: int) -> int:
    """What torch counts for one image, on a model on the meta device."""
    with FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 3, size, size, device="meta"))
    return int(counter.get_total_flops()) // 2


def test_the_zoo_is_there() -> None:
    assert len(FILES) >= 21
    assert len(FROM_TORCHVISION) >= 10


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_name_of_its_model_an_editors_schema_and_a_source(name: str) -> None:
    document = read_document(read_source(FILES[name]))
    assert document.model == name
    assert document.source.text.startswith("# yaml-language-server: $schema=../docs/schema/architecture.json\n")
    assert document.plain("source")


@EVERY_NETWORK
def test_the_counts_are_those_that_the_file_expects(name: str, variant: str | None) -> None:
    architecture = spdbuild.load(name, variant=variant)
    expected: dict[str, Any] = architecture.document.plain("expect")
    found = spdbuild.summary(architecture)
    for what, count in (("parameters", found.parameters), ("macs", found.macs)):
        known = expected[what].get(variant) if isinstance(expected[what], dict) else expected[what]
        assert known == count or (name, variant) == ("yolov5_spd", "x")  # A size that was never published.


@EVERY_NETWORK
def test_the_torch_module_has_the_parameters_that_were_counted_without_torch(name: str, variant: str | None) -> None:
    graph = spdbuild.load(name, variant=variant).graph
    module = spdbuild.build(graph, device="meta")
    assert sum(parameter.numel() for parameter in module.parameters()) == graph.parameters


@pytest.mark.parametrize(("name", "variant"), PUBLISHED_PARAMETERS)
def test_the_parameters_are_the_published_ones(name: str, variant: str | None) -> None:
    graph = spdbuild.load(name, variant=variant).graph
    assert graph.parameters == PUBLISHED_PARAMETERS[name, variant]


@pytest.mark.parametrize(
    ("strided", "spd"),
    [
        ("tiny_imagenet_resnet18", "resnet18_spd_tiny_imagenet"),
        ("tiny_imagenet_resnet50", "resnet18_spd_tiny_imagenet_released"),
    ],
)
def test_a_strided_twin_differs_by_the_conversion_alone(strided: str, spd: str) -> None:
    # Its stem is a kernel of one block, which space_to_depth and a 1x1 convolution compute with the same weights.
    released = StridedToSpd(placement="after", after="conv", keep=("*.skip", "stem.conv"))
    graph, _ = run_passes(spdbuild.load(strided).graph, [released])
    theirs = spdbuild.load(spd).graph
    assert (graph.parameters, graph.macs) == (theirs.parameters, theirs.macs)
    assert [node.shape for node in graph.layers][1:] == [node.shape for node in theirs.layers][2:]


@pytest.mark.parametrize(("name", "classes", "parameters"), PUBLISHED_BY_CLASSES)
def test_the_parameters_are_the_published_ones_for_other_classes(name: str, classes: int, parameters: int) -> None:
    assert spdbuild.load(name, vars={"classes": classes}).graph.parameters == parameters


@pytest.mark.parametrize(("name", "variant"), PUBLISHED_MACS)
def test_the_macs_are_the_published_ones(name: str, variant: str | None) -> None:
    assert spdbuild.load(name, variant=variant).graph.macs == PUBLISHED_MACS[name, variant]


@pytest.mark.parametrize("name", FROM_TORCHVISION)
def test_torchvisions_networks_have_torchvisions_counts(name: str) -> None:
    meta = torchvision.models.get_model_weights(name).DEFAULT.meta
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name)
    graph = spdbuild.load(name).graph
    assert graph.parameters == meta["num_params"]
    assert graph.macs == torch_macs(theirs, size=224)
    assert round(graph.macs / 1e9, 3) == meta["_ops"]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_cifar_networks_are_torchvisions_with_a_small_stem(name: str) -> None:
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name, num_classes=10)
        theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    assert spdbuild.load(f"cifar_{name}").graph.macs == torch_macs(theirs, size=32)


@pytest.mark.parametrize(("name", "with_option_a"), [("cifar_resnet20", 0.27), ("cifar_resnet56", 0.85)])
def test_the_networks_for_cifar_have_the_papers_parameters_but_for_their_shortcuts(
    name: str, with_option_a: float
) -> None:
    """He et al. 2015, table 6. Option B has two 1x1 convolutions with their norms, 16 -> 32 and 32 -> 64, more."""
    shortcuts = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert round((spdbuild.load(name).graph.parameters - shortcuts) / 1e6, 2) == with_option_a


@pytest.mark.parametrize(("name", "depth"), [("cifar_resnet20", 3), ("cifar_resnet56", 9)])
def test_the_networks_for_cifar_have_the_macs_that_one_counts_by_hand(name: str, depth: int) -> None:
    """He et al. 2015, section 4.2: 2*depth convolutions for each of the maps of 32, 16 and 8 pixels."""
    macs = 32 * 32 * 16 * 3 * 9 + 64 * 10
    for size, width, before in ((32, 16, 16), (16, 32, 16), (8, 64, 32)):
        first = before * 9 + width * 9 + (before if before != width else 0)
        macs += size * size * width * (first + (depth - 1) * 2 * width * 9)
    assert spdbuild.load(name).graph.macs == macs


def test_the_true_resnet18_has_the_macs_of_the_released_unused_one() -> None:
    """1.067 G as thop counts them, which is with four for each number that a norm reads."""
    graph = spdbuild.load("resnet18_spd_tiny_imagenet").graph
    norms = sum(node.shape.elements for node in graph.layers if node.op.family == "normalization")
    assert round((graph.macs + 4 * norms) / 1e9, 3) == 1.067
