"""`convert_module` on networks of torchvision, and on small modules with what real ones can have."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torchvision.models.feature_extraction import create_feature_extractor

import spdbuild
from spdbuild.conversion.foreign.observing import Arguments, observe
from spdbuild.errors import ArgumentError, InputError, PassError
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


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"placement": "after"}, ArgumentError, "placement must be 'before' for a module"),
        ({"kernels": "same"}, ArgumentError, "convert_module has no option 'kernels'"),
        ({"after": "conv"}, ArgumentError, "convert_module has no option 'after' for a module"),
        ({"pool": "mean"}, ArgumentError, "pool must be one of 'conv', 'keep'"),
        ({"keep": "stem"}, PassError, "keep: no part of the module is called 'stem'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spdbuild.convert_module(nn.Sequential(nn.Conv2d(3, 4, 3, 2)), torch.randn(1, 3, 8, 8), **options)


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"Sequential cannot be run on the example \(1, 4, 8, 8\)"):
        spdbuild.convert_module(nn.Sequential(nn.Conv2d(3, 4, 3, 2)), torch.randn(1, 4, 8, 8))


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


class Flagged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 3, 2, 1), nn.MaxPool2d(2)

    def forward(self, x: Tensor, *, flag: bool) -> Tensor:
        return self.pool(self.conv(x)) if flag else x


def test_named_arguments_and_batches_of_a_data_loader() -> None:
    batches = [(torch.randn(4, 3, 16, 16), torch.zeros(4))] * 2
    x = torch.randn(1, 3, 16, 16)
    converted, report = spdbuild.convert_module(Flagged(), x, keywords={"flag": True}, calibrate=batches)
    assert converted(x, flag=True).shape == (1, 8, 4, 4)
    assert [entry.name for entry in report.replaced] == ["conv", "pool"]
    assert report.residuals.keys() == {"pool"}


@pytest.mark.parametrize(
    ("calibrate", "message"),
    [
        (torch.zeros(4, 3, 16, 16), "must come in batches, got one tensor"),
        ([torch.zeros(3, 16, 16)], r"must be a tensor \(N, C, H, W\), got \(3, 16, 16\)"),
        ([{"image": 1}], r"must be a tensor \(N, C, H, W\), got a dict"),
    ],
    ids=["tensor", "one image", "dictionary"],
)
def test_images_that_are_no_batches_are_refused(calibrate: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        spdbuild.convert_module(nn.Sequential(nn.MaxPool2d(2)), torch.zeros(1, 3, 16, 16), calibrate=calibrate)


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        ("resnet18", torch.zeros(1, 3, 8, 8), r"module must be a torch\.nn\.Module, got a str"),
        (nn.Sequential(nn.LazyConv2d(4, 3, 2)), torch.zeros(1, 3, 8, 8), "shape of its '0.weight' is not known yet"),
        (nn.Conv2d(3, 4, 3, 2), {"x": 1}, "example must be a tensor or a list of arguments, got a dict"),
    ],
    ids=["name", "lazy", "dictionary"],
)
def test_arguments_of_other_types_are_refused(module: Any, example: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        spdbuild.convert_module(module, example)


def test_a_pattern_on_a_layer_without_a_name_has_no_empty_hint() -> None:
    with pytest.raises(PassError, match="no part of the module is called 'conv'") as caught:
        spdbuild.convert_module(nn.Conv2d(3, 4, 3, 2), torch.zeros(1, 3, 8, 8), keep=["conv"])
    assert "hint" not in str(caught.value)


def test_how_pruned_layers_can_be_copied_is_told() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2))
    prune.l1_unstructured(model[0], "weight", 0.5)
    with pytest.raises(InputError, match=r"prune\.remove\(layer, 'weight'\) makes the pruning of '0' permanent"):
        spdbuild.convert_module(model, torch.zeros(1, 3, 8, 8))


def test_average_pools_of_float64_are_exact_in_float64() -> None:
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    _, report = spdbuild.convert_module(nn.AvgPool2d(3, 2, 1).double(), x)
    assert report.error is not None
    assert report.error < 1e-14


def test_what_follows_a_forward_follows_that_of_a_converted_network() -> None:
    model, x = torchvision.models.resnet18().eval(), torch.randn(2, 3, 64, 64)
    converted, _ = spdbuild.convert_module(model, x)
    traced = fx.symbolic_trace(converted)
    torch.testing.assert_close(copy.deepcopy(traced)(x), converted(x), rtol=0, atol=0)
    assert traced(torch.randn(1, 3, 65, 71)).shape == (1, 1000)
    features = create_feature_extractor(converted, ["layer4"])(x)["layer4"]
    assert features.shape == (2, 512, 2, 2)


@pytest.mark.parametrize("options", [{}, {"pool": "keep"}, {"kernel": "same"}, {"kernel": 5}], ids=str)
def test_a_converted_network_can_be_imported(options: dict[str, Any]) -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, (5, 3), (2, 1), (2, 0)), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2))
    model.append(nn.Conv2d(8, 8, 3, 2, groups=4, bias=False)).append(PaddedConv2d(8, 4, 3, 2, ((0, 1), (1, 1))))
    x = torch.randn(1, 4, 64, 48)
    converted, _ = spdbuild.convert_module(model, x, **options)
    if options.get("pool") == "keep":
        converted = converted[:4]
    imported = spdbuild.import_module(converted, x)
    assert imported.error == 0
    assert "spd_conv2d(8, kernel=[5, 3], stride=[2, 1]" in imported.architecture.text


def conv2d_same(self: nn.Conv2d, x: Tensor) -> Tensor:
    """The forward of timm.layers.Conv2dSame: zeros as TensorFlow's "SAME" has them."""
    sides: list[int] = []
    for axis in (1, 0):
        size, (kernel, stride, gap) = (
            x.shape[2 + axis],
            (self.kernel_size[axis], self.stride[axis], self.dilation[axis]),
        )
        zeros = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * gap + 1 - size, 0)
        sides += [zeros // 2, zeros - zeros // 2]
    return F.conv2d(F.pad(x, sides), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


Conv2dSame = type("Conv2dSame", (nn.Conv2d,), {"forward": conv2d_same, "__module__": "timm.layers.conv2d_same"})


@pytest.mark.parametrize(
    "arguments", [(3, 2), (5, 2), ((3, 5), (2, 3)), (2, 4), (3, 2, 0, 2), (3, 2, 0, 1, 3)], ids=str
)
def test_timms_convolution_is_exact_for_every_size(arguments: Any) -> None:
    conv = Conv2dSame(3, 6, *arguments).double()
    converted, report = spdbuild.convert_module(conv, torch.randn(1, 3, 32, 32, dtype=torch.float64))
    assert [entry.exact for entry in report.replaced] == [True]
    for size in ((33, 47), (7, 8), (1, 2)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(converted(x), conv(x), rtol=1e-12, atol=1e-12)
