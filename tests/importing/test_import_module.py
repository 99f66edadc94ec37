"""Torch modules in our language: the same outputs to the last bit, blocks where modules repeat, clear refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild
from spdbuild.errors import InputError
from spdbuild.importing.torch_module import Imported

#: name -> (parameters of the network as torchvision states them, pixels).
NETWORKS = {
    "resnet18": (11689512, 64),
    "resnet50": (25557032, 64),
    "mobilenet_v2": (3504872, 64),
    "mobilenet_v3_small": (2542856, 64),
    "densenet121": (7978856, 64),
    "efficientnet_b0": (5288548, 64),
    "squeezenet1_1": (1235496, 64),
    "mnasnet0_5": (2218512, 64),
    "regnet_y_400mf": (4344144, 64),
    "convnext_tiny": (28589128, 64),
}


def network(name: str, **options: Any) -> nn.Module:
    return torchvision.models.get_model(name, **options).eval()


def outputs(imported: Imported, x: Tensor) -> Tensor:
    model = spdbuild.build(imported.architecture).to(x.dtype).eval()
    model.load_state_dict(imported.weights)
    with torch.no_grad():
        result: Tensor = model(x)
    return result


def same(module: nn.Module, x: Tensor) -> Imported:
    """The import of a module, which computes the same for another image than the example."""
    imported = spdbuild.import_module(module.eval(), x)
    other = torch.randn(2, *x.shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(outputs(imported, other), module(other), rtol=1e-6, atol=1e-7)
    return imported


@pytest.mark.parametrize("name", NETWORKS)
def test_network_of_torchvision_computes_the_same(name: str) -> None:
    parameters, size = NETWORKS[name]
    module = network(name)
    imported = same(module, torch.randn(1, 3, size, size))
    assert imported.architecture.graph.parameters == parameters
    assert imported.unused == ()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("googlenet", 64), ("inception_v3", 96), ("vgg16_bn", 32)])
def test_large_network_of_torchvision_computes_the_same(name: str, size: int) -> None:
    options = {} if name == "vgg16_bn" else {"init_weights": False}
    imported = same(network(name, **options), torch.randn(1, 3, size, size))
    aux = {entry.split(".")[0] for entry in imported.unused}
    assert aux == {"googlenet": {"aux1", "aux2"}, "inception_v3": {"AuxLogits"}, "vgg16_bn": set()}[name]


def test_imported_weights_are_those_of_the_module() -> None:
    module = network("resnet18")
    imported = spdbuild.import_module(module, torch.randn(1, 3, 64, 64))
    assert torch.equal(imported.weights["conv1.weight"], module.conv1.weight)
    assert torch.equal(imported.weights["layer1.basic_block_0.1.bn2.bias"], module.layer1[1].bn2.bias)
    assert len(imported.weights) == len(module.state_dict())


def test_modules_that_differ_in_numbers_share_a_block() -> None:
    text = spdbuild.import_module(network("resnet50"), torch.randn(1, 3, 64, 64)).architecture.text
    heads = [line.strip() for line in text.splitlines() if line.endswith("):")]
    assert heads == [
        "downsample(out, stride):",
        "bottleneck():",
        "bottleneck_2(out, stride):",
        "layer(out, stride, depth):",
    ]
    assert "  - layer3: layer(256, stride=2, depth=5)\n" in text


class Residual(nn.Module):
    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, 4 * width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4 * width)
        self.second = nn.Conv2d(4 * width, width, 1)
        self.drop = nn.Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.second(F.relu(self.norm(self.first(x)))))


def test_numbers_become_parameters_or_expressions() -> None:
    body = nn.Sequential(Residual(4, 0.1), nn.Conv2d(4, 6, 1), Residual(6, 0.2), nn.Conv2d(6, 8, 1), Residual(8, 0.2))
    imported = same(nn.Sequential(body, nn.Flatten(), nn.Linear(8 * 36, 3)), torch.randn(1, 4, 6, 6))
    assert imported.architecture.text == (
        "model: sequential\n"
        "inputs: {input: [4, 6, 6]}\n"
        "\n"
        "blocks:\n"
        "  residual(rate):\n"
        "    - first: conv2d(4 * in_channels, kernel=3)\n"
        "    - norm: batch_norm()\n"
        "    - relu()\n"
        "    - second: conv2d(in_channels, bias=true)\n"
        "    - drop: dropout(rate)\n"
        "    - add() <- input, drop\n"
        "\n"
        "  sequence():\n"
        "    - residual_0: residual(0.1)\n"
        "    - conv2d_1: conv2d(6, bias=true)\n"
        "    - residual_2: residual(0.2)\n"
        "    - conv2d_3: conv2d(8, bias=true)\n"
        "    - residual_4: residual(0.2)\n"
        "\n"
        "layers:\n"
        "  - sequence_0: sequence()\n"
        "  - flatten()\n"
        "  - linear_2: linear(3)\n"
    )


class Several(nn.Module):
    """Functions, splits, several outputs, channels last, and a module of which more than the end is read."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding="same")
        self.mix = nn.Linear(8, 8)
        self.gamma = nn.Parameter(torch.rand(8))
        self.norm = nn.LayerNorm(8)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(image)
        last = self.norm(F.gelu(self.mix(x.permute(0, 2, 3, 1)))) * self.gamma
        y = last.permute(0, 3, 1, 2) + x
        left, right = y.chunk(2, dim=1)
        joined = torch.cat([F.interpolate(left, scale_factor=2), F.interpolate(right, scale_factor=2.0)], 1)
        return F.max_pool2d(joined, 3, 2), (torch.sigmoid(x) * x.mean((2, 3), keepdim=True)).flatten(1)


def test_functions_and_several_outputs() -> None:
    module, x = Several().eval(), torch.randn(2, 3, 8, 10)
    imported = spdbuild.import_module(module, x)
    model = spdbuild.build(imported.architecture).eval()
    model.load_state_dict(imported.weights)
    with torch.no_grad():
        for ours, theirs in zip(model(x), module(x), strict=True):
            torch.testing.assert_close(ours, theirs)


class Leaking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(x)
        return x, self.norm(x)


class Around(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Leaking()

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.inner(x)
        return first + second


def test_a_module_of_which_more_is_read_stands_in_the_one_around_it() -> None:
    imported = same(Around(), torch.randn(1, 3, 5, 5))
    assert "blocks:" not in imported.architecture.text
    assert [node.name for node in imported.architecture.graph.layers] == ["inner_conv", "inner_norm", "add"]


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x))


class Slicing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Softplus()), "0 cannot be imported: there is no op for Softplus()"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), nn.CELU()), "1 cannot be imported: there is no op for CELU()"),
        (nn.Softmax(2), "softmax over the axis 2, which is not that of the channels"),
        (nn.InstanceNorm2d(3), "an instance norm without weights"),
        (nn.Conv2d(3, 4, 3, padding_mode="circular"), "a convolution that pads by 'circular'"),
        (Twice(), "conv cannot be imported: there is no op for a layer that runs twice with the same weights"),
        (Slicing(), "the module itself cannot be imported: there is no op for a slice of a tensor"),
        (Branching(), "torch.fx cannot follow Branching"),
        (nn.GELU(approximate="tanh"), "gelu with approximate='tanh'"),
        (nn.Sequential(nn.Linear(8, 3)), "0 cannot be imported: there is no op for Linear over an image"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_no_op_does_is_named(module: nn.Module, message: str) -> None:
    with pytest.raises(InputError) as caught:
        spdbuild.import_module(module, torch.randn(1, 3, 8, 8))
    assert message in str(caught.value)


class Shares(nn.Module):
    """Shares and pools by functions."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 8, 3, 2, 1, 1, groups=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.elu(F.softmax(self.up(x), dim=1), 0.5)
        return F.adaptive_max_pool2d(x, (2, 3)) * x.softmax(1).mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("module", "lines"),
    [
        (
            nn.ConvTranspose2d(3, 6, (4, 2), 2, (1, 0), dilation=1, groups=3),
            "conv_transpose2d(6, kernel=[4, 2], stride=2, padding=[1, 0], groups=3, bias=true)",
        ),
        (nn.PReLU(), "prelu()"),
        (nn.PReLU(3), "prelu(true)"),
        (nn.ELU(0.3), "elu(0.3)"),
        (nn.Softmax(1), "softmax()"),
        (nn.Softmax(-3), "softmax()"),
        (nn.InstanceNorm2d(3, affine=True), "instance_norm()"),
        (nn.AdaptiveMaxPool2d((4, 2)), "adaptive_max_pool([4, 2])"),
        (nn.AdaptiveMaxPool2d(1), "global_max_pool(true)"),
        (Shares(), "conv_transpose2d(8, kernel=3, stride=2, padding=1, output_padding=1)"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_module_becomes_the_op_of_its_name(module: nn.Module, lines: str) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    assert lines in same(module, torch.randn(1, 3, 8, 8)).architecture.text


def test_shuffled_channels_are_refused_with_their_place() -> None:
    with pytest.raises(
        InputError, match=r"stage2\.0 cannot be imported: there is no op for a view of 48x28x28 as 2x24x28x28"
    ):
        spdbuild.import_module(network("shufflenet_v2_x0_5"), torch.randn(1, 3, 224, 224))


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"Sequential cannot be run on \(1, 4, 8, 8\)"):
        spdbuild.import_module(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.randn(1, 4, 8, 8))


@pytest.mark.parametrize("make", [lambda: nn.BatchNorm2d(3), lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())])
def test_the_module_keeps_its_modes(make: Callable[[], nn.Module]) -> None:
    module = make().train()
    spdbuild.import_module(module, torch.randn(1, 3, 4, 4))
    assert all(part.training for part in module.modules())


class PoolingWhole(nn.Module):
    """Pools with the size of the image as the kernel."""

    def __init__(self, pool: Callable[..., Tensor]) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 3, 2, 1), pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.pool(x, x.shape[2:]).flatten(1)


@pytest.mark.parametrize(("pool", "op"), [(F.avg_pool2d, "global_avg_pool"), (F.max_pool2d, "global_max_pool")])
def test_a_pool_whose_kernel_is_the_size_of_the_image_is_global(pool: Callable[..., Tensor], op: str) -> None:
    imported = same(PoolingWhole(pool), torch.randn(1, 3, 64, 64))
    assert imported.architecture.text.endswith(f"  - {op}()\n")


def test_a_kernel_as_large_as_the_image_that_is_a_number_stays_a_number() -> None:
    imported = same(nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.AvgPool2d(16)), torch.randn(1, 3, 32, 32))
    assert "avg_pool(16, stride=16, padding=0)" in imported.architecture.text
