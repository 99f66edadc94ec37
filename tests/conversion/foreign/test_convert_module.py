"""`convert_module` on networks of torchvision, and on small modules with what real ones can have."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

import spdbuild
from spdbuild.conversion.foreign.observing import Arguments, observe
from spdbuild.nn import PaddedConv2d, SpdConv2d

#: name -> (strided convolutions, strided pools, pixels), counted by hand in torchvision's source.
NETWORKS = {
    "resnet18": (7, 1, 64),
    "mobilenet_v2": (5, 0, 64),
    "inception_v3": (5, 4, 96),
    "convnext_tiny": (4, 0, 64),
    "squeezenet1_1": (1, 3, 64),
}


def network(name: str, dtype: torch.dtype) -> tuple[nn.Module, Tensor]:
    options = {"init_weights": False, "aux_logits": False} if name == "inception_v3" else {}
    model = getattr(torchvision.models, name)(**options).to(dtype)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):  # so that what the image shows reaches the output
            nn.init.kaiming_normal_(layer.weight)
    x = torch.randn(2, 3, NETWORKS[name][2], NETWORKS[name][2], dtype=dtype)
    return model, x


def greatest(difference: Tensor, of: Tensor) -> float:
    return float(difference.abs().max() / of.abs().max())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=["f32", "f64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_torchvision_network_computes_the_same(name: str, dtype: torch.dtype, tolerance: float) -> None:
    model, x = network(name, dtype)
    convolutions, pools, _ = NETWORKS[name]

    converted, report = spdbuild.convert_module(model, x, pool="keep")

    assert (len(report.replaced), len(report.kept), len(report.unseen)) == (convolutions, pools, 0)
    assert all(entry.exact for entry in report.replaced)
    with torch.no_grad():
        before, after = model.eval()(x), converted.eval()(x)
    assert greatest(before[0] - before[1], before) > 1e-3
    assert greatest(before - after, before) < tolerance
    assert report.error is not None
    assert report.error < tolerance


@pytest.mark.parametrize("name", NETWORKS)
def test_strict_conversion_leaves_no_strided_window(name: str) -> None:
    model, x = network(name, torch.float32)
    converted, report = spdbuild.convert_module(model, x, strict=True)

    assert len(report.replaced) == sum(NETWORKS[name][:2])
    assert observe(converted, Arguments((x,), {})).calls == []
    assert type(converted) is type(model)
    converted(x).sum().backward()
    new = dict(converted.named_modules())
    assert all(new[entry.name].weight.grad.abs().sum() > 0 for entry in report.replaced)


def test_untouched_layers_keep_their_tensors() -> None:
    model, x = network("inception_v3", torch.float32)
    converted, report = spdbuild.convert_module(model, x)
    old, new = model.state_dict(), converted.state_dict()
    touched = {f"{entry.name}.weight" for entry in report.replaced}

    assert [name for name in new if name not in touched] == [name for name in old if name not in touched]
    assert all(torch.equal(new[name], old[name]) for name in old if name not in touched)
    assert {"Mixed_6a.max_pool2d.weight", "Mixed_7a.max_pool2d.weight"} <= touched


def test_the_module_itself_is_not_changed() -> None:
    model, x = network("resnet18", torch.float32)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    spdbuild.convert_module(model, x)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert isinstance(model.conv1, nn.Conv2d)
    assert model.conv1.stride == (2, 2)


def test_mode_dtype_hooks_gradients_and_attributes_are_carried_over() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)).to(torch.bfloat16)
    model.train()
    model[0].eval()
    model[0].weight.requires_grad_(False)
    model[0].note = "first"
    seen = []
    model[0].register_forward_hook(lambda *_: seen.append("hook"))

    converted, _ = spdbuild.convert_module(model, torch.randn(2, 3, 8, 8, dtype=torch.bfloat16))

    conv = converted[0]
    assert isinstance(conv, SpdConv2d)
    assert (conv.training, converted.training, converted[1].training) == (False, True, True)
    assert (conv.weight.dtype, conv.weight.requires_grad, conv.bias.requires_grad) == (torch.bfloat16, False, True)
    assert conv.note == "first"
    assert torch.equal(converted[1].running_mean, model[1].running_mean)
    seen.clear()
    converted(torch.randn(2, 3, 8, 8, dtype=torch.bfloat16))
    assert seen == ["hook"]


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(6, 6, 3, 2, 1, groups=6),
        nn.Conv2d(6, 9, 5, (3, 2), (1, 2), groups=3, bias=False),
        nn.Conv2d(6, 4, 3, 2, 3, dilation=2),
        nn.Conv2d(6, 4, 2, 4, "valid"),
        nn.Conv2d(6, 4, (1, 7), (1, 3)),
        PaddedConv2d(6, 4, 4, 3, ((2, 0), (1, 3))),
    ],
    ids=["depthwise", "grouped", "dilated", "gaps", "one axis", "asymmetric"],
)
def test_a_convolution_alone_is_exact(conv: nn.Conv2d) -> None:
    x = torch.randn(2, 6, 17, 22, dtype=torch.float64)
    converted, report = spdbuild.convert_module(conv.double(), x, strict=True)
    assert isinstance(converted, SpdConv2d)
    assert report.replaced[0].name == ""
    torch.testing.assert_close(converted(x), conv(x), rtol=0, atol=1e-12)


def test_a_smaller_kernel_is_not_called_exact() -> None:
    x = torch.randn(1, 3, 16, 16)
    converted, report = spdbuild.convert_module(nn.Conv2d(3, 4, 3, 2, 1), x, kernel=1)
    assert converted.weight.shape == (4, 12, 1, 1)
    assert not report.replaced[0].exact
    assert report.error is not None
    assert report.error > 1e-3


def test_a_shared_layer_is_replaced_once_under_all_its_names() -> None:
    conv = nn.Conv2d(4, 4, 3, 2, 1)
    model = nn.Sequential(conv, nn.ReLU(), conv).double()
    x = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    converted, report = spdbuild.convert_module(model, x)
    assert converted[0] is converted[2]
    assert [entry.name for entry in report.replaced] == ["0"]
    torch.testing.assert_close(converted(x), model(x))


def test_report_counts_parameters_and_macs() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Flatten(), nn.Linear(128, 10)), torch.randn(1, 3, 8, 8)
    _, report = spdbuild.convert_module(model, x)
    document = report.to_dict()
    assert list(document) == ["replaced", "kept", "unseen", "before", "after", "error", "residuals"]
    assert document["before"] == {"params": 8 * 27 + 8 + 1290, "macs": 16 * 8 * 27 + 1280}
    assert document["after"] == {"params": 8 * 48 + 8 + 1290, "macs": 16 * 8 * 48 + 1280}
    entry = document["replaced"][0]
    assert (entry["name"], entry["op"], entry["exact"]) == ("0", "conv2d", True)
    assert (entry["before"]["kernel"], entry["after"]["kernel"]) == ((3, 3), (2, 2))
    assert (entry["before"]["macs"], entry["after"]["macs"]) == (16 * 8 * 27, 16 * 8 * 48)
    assert "1 replaced, 0 kept, 0 not seen" in str(report)


class Deciding(nn.Module):
    """Where two layers of the same weights differ by rounding alone decides which number is put out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.twin = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(3, 8, 3, 2, 1)
        self.twin.load_state_dict(self.conv.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x) - self.twin(x)).sign()


def test_a_network_whose_output_hangs_on_rounding_is_not_accused() -> None:
    _, report = spdbuild.convert_module(Deciding(), torch.randn(1, 3, 32, 32), keep=["twin"])
    assert [(entry.name, entry.exact) for entry in report.replaced] == [("conv", True)]


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("groups", [1, 8])
def test_weights_keep_their_memory_format(memory_format: torch.memory_format, groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, groups=groups)).to(memory_format=memory_format)
    x = torch.randn(2, 8, 16, 16).to(memory_format=memory_format)
    weight = spdbuild.convert_module(model, x)[0].get_parameter("0.weight")
    assert weight.stride() == torch.empty_like(weight, memory_format=memory_format).stride()
