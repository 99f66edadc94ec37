"""`convert_module` on networks of torchvision, and on small modules with what real ones can have."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import spdbuild
from spdbuild.conversion.foreign.observing import Arguments, observe
from spdbuild.errors import PassError
from spdbuild.nn import PaddedConv2d, SpdAvgPool2d, SpdConv2d, SpdMaxPool2d

#: name -> (strided convolutions, strided pools, pixels), counted by hand in torchvision's source.
NETWORKS = {
    "resnet18": (7, 1, 64),
    "mobilenet_v2": (5, 0, 64),
    "inception_v3": (5, 4, 96),
    "convnext_tiny": (4, 0, 64),
    "squeezenet1_1": (1, 3, 64),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


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


def test_an_average_pool_is_exact_and_a_max_pool_begins_as_the_mean() -> None:
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    average, report = spdbuild.convert_module(nn.AvgPool2d(2), x)
    assert isinstance(average, SpdAvgPool2d)
    assert report.replaced[0].exact
    torch.testing.assert_close(average(x), F.avg_pool2d(x, 2))
    greatest, report = spdbuild.convert_module(nn.MaxPool2d(2), x)
    assert isinstance(greatest, SpdMaxPool2d)
    assert not report.replaced[0].exact
    torch.testing.assert_close(greatest(x), F.avg_pool2d(x, 2))


class Pooling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)


@pytest.mark.parametrize("make", [lambda: nn.MaxPool2d(2), Pooling], ids=["layer", "function"])
def test_max_pools_are_fitted_by_least_squares(make: Callable[[], nn.Module]) -> None:
    images = [torch.rand(8, 1, 6, 6) ** 3 for _ in range(4)]
    converted, report = spdbuild.convert_module(make(), images[0], calibrate=images)

    blocks = F.unfold(torch.cat(images), 2, stride=2).movedim(1, 2).flatten(0, 1)  # [blocks, pixels]
    wanted = blocks.amax(1)
    weights = torch.linalg.lstsq(blocks.double(), wanted.double()).solution
    error = (blocks.double() @ weights - wanted).square().sum() / (wanted - wanted.mean()).square().sum()
    assert list(report.residuals.values()) == pytest.approx([float(error)], rel=1e-5)
    fitted = next(converted.parameters()).flatten().double().detach()
    assert sorted(fitted.tolist()) == pytest.approx(sorted(weights.tolist()), rel=1e-5)


def test_pools_that_are_split_are_fitted_each_for_itself() -> None:
    _, report = spdbuild.convert_module(Shared(), torch.randn(1, 3, 20, 20), calibrate=[torch.randn(4, 3, 20, 20)])
    assert list(report.residuals) == ["pool_", "pool_2"]
    assert all(residual > 0 for residual in report.residuals.values())


class Shared(nn.Module):
    """One pool for images of different channels, as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.second(self.pool(self.first(x))))


def test_a_pool_of_several_numbers_of_channels_becomes_a_layer_for_each() -> None:
    x = torch.randn(1, 3, 20, 20)
    model = Shared()
    kept, report = spdbuild.convert_module(model, x, pool="keep")
    assert [entry.name for entry in report.kept] == ["pool"]

    converted, report = spdbuild.convert_module(model, x, strict=True)
    assert [(e.name, e.after["params"]) for e in report.replaced] == [("pool_", 4 * 16), ("pool_2", 6 * 24)]
    assert isinstance(converted, Shared)
    expected = F.avg_pool2d(model.second(F.avg_pool2d(model.first(x), 2)), 2)
    torch.testing.assert_close(converted(x), expected)


def test_one_place_of_a_pool_can_be_kept() -> None:
    _, report = spdbuild.convert_module(Shared(), torch.randn(1, 3, 20, 20), keep="pool_2")
    assert [entry.name for entry in report.replaced] == ["pool_"]
    assert [entry.name for entry in report.kept] == ["pool_2"]


def test_a_shared_layer_is_replaced_once_under_all_its_names() -> None:
    conv = nn.Conv2d(4, 4, 3, 2, 1)
    model = nn.Sequential(conv, nn.ReLU(), conv).double()
    x = torch.randn(1, 4, 16, 16, dtype=torch.float64)
    converted, report = spdbuild.convert_module(model, x)
    assert converted[0] is converted[2]
    assert [entry.name for entry in report.replaced] == ["0"]
    torch.testing.assert_close(converted(x), model(x))


class Functional(nn.Module):
    """A strided convolution written as a function, on parameters of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(5, 3, 3, 3))
        self.offset = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.conv2d(x, self.kernel, self.offset, stride=2, padding=1))
        return F.avg_pool2d(y, 3, stride=2, padding=1)


def test_strided_functions_become_layers() -> None:
    model = Functional().double()
    x = torch.randn(2, 3, 15, 13, dtype=torch.float64)
    converted, report = spdbuild.convert_module(model, x, strict=True)
    assert [entry.name for entry in report.replaced] == ["conv2d", "avg_pool2d"]
    assert report.replaced[0].at.rpartition(":")[0] == __file__
    assert isinstance(converted, Functional)
    assert set(converted.state_dict()) == {"conv2d.weight", "conv2d.bias", "avg_pool2d.weight"}
    torch.testing.assert_close(converted(x), model(x))


def test_a_module_with_a_new_forward_can_be_copied_and_exported() -> None:
    x = torch.randn(1, 3, 9, 8)
    converted, _ = spdbuild.convert_module(Functional(), x)
    exported = torch.export.export(converted.eval(), (x,)).module()
    for other in (copy.deepcopy(converted), exported):
        torch.testing.assert_close(other(x), converted(x))


def test_a_kept_function_is_not_touched() -> None:
    converted, report = spdbuild.convert_module(Functional(), torch.randn(1, 3, 8, 8), keep="conv2d", pool="keep")
    assert [(entry.name, entry.why) for entry in report.kept] == [
        ("conv2d", "named in keep"),
        ("avg_pool2d", "pool=keep"),
    ]
    assert set(converted.state_dict()) == {"kernel", "offset"}


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if x.sum() > -1e9 else x


class Computing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch.ones(3, 1, 2, 2), stride=2, groups=3)


class Scaling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(1, 3, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel * 2, stride=2)


class Optional(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.max_pool2d(x, 2) if mask is None else x


class Training(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.training else F.max_pool2d(x, 2)


class Remembering(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        self.last = F.max_pool2d(x, 2)
        return self.last


class OwnForward(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Borrowing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv.weight, stride=2)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Branching(), "torch.fx cannot follow its forward"),
        (lambda: Computing(), "torch.fx would fix a tensor that its forward makes"),
        (lambda: Scaling(), "its weight is computed while it runs"),
        (lambda: Optional(), "torch.fx would fix the optional argument 'mask'"),
        (lambda: Training(), "its forward does something else in training"),
        (lambda: Remembering(), "its forward changes the attribute 'last'"),
        (lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 2, 2))), "it is TorchScript"),
    ],
    ids=["branching", "computing", "scaling", "optional", "training", "remembering", "script"],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_what_cannot_be_seen_is_listed(make: Callable[[], nn.Module], why: str) -> None:
    x = torch.randn(1, 3, 8, 8)
    converted, report = spdbuild.convert_module(make(), x)
    assert len(report.unseen) == 1
    assert report.unseen[0].why.startswith(why)
    assert (report.replaced, report.error) == ((), 0.0)
    with pytest.raises(PassError, match=r"strict: 1 strided layers are left"):
        spdbuild.convert_module(make(), x, strict=True)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: OwnForward(3, 4, 2, 2), "has a forward of its own"),
        (lambda: Borrowing(), "its weight is read by the forward of another module, Borrowing"),
        (lambda: nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect"), "its padding is not of zeros but 'reflect'"),
        (lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 2, 2)), "its weight is computed from other numbers"),
        (lambda: nn.AvgPool2d(2, divisor_override=3), "it divides by divisor_override=3"),
    ],
    ids=["own forward", "borrowed", "reflect", "weight norm", "divisor"],
)
def test_layers_that_stay_say_why(make: Callable[[], nn.Module], why: str) -> None:
    _, report = spdbuild.convert_module(make(), torch.randn(1, 3, 8, 8))
    assert [why in entry.why for entry in report.kept] == [True]
    assert report.unseen == ()


def test_a_pool_that_the_example_does_not_run_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.unused = nn.MaxPool2d(2)
    model.forward = model[0].forward
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 8, 8))
    assert [entry.why for entry in report.kept] == ["the example does not run it, so its channels are not known"]


def test_sequences_are_not_images() -> None:
    model = nn.Sequential(nn.Conv1d(3, 4, 3, stride=2), nn.AvgPool1d(2))
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 20), strict=True)
    assert (report.replaced, report.left) == ((), ())


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


def test_average_pools_of_float64_are_exact_in_float64() -> None:
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    _, report = spdbuild.convert_module(nn.AvgPool2d(3, 2, 1).double(), x)
    assert report.error is not None
    assert report.error < 1e-14


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("groups", [1, 8])
def test_weights_keep_their_memory_format(memory_format: torch.memory_format, groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1, groups=groups)).to(memory_format=memory_format)
    x = torch.randn(2, 8, 16, 16).to(memory_format=memory_format)
    weight = spdbuild.convert_module(model, x)[0].get_parameter("0.weight")
    assert weight.stride() == torch.empty_like(weight, memory_format=memory_format).stride()
