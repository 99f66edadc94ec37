"""What `import_module` refuses: networks that it would write as something else, and what its text cannot say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import spdbuild
from spdbuild.errors import InputError


class Residual(nn.Module):
    """Writes over what it adds later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(self.relu(x)) + x


class Alias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = self.first(x)
        y = a
        y += self.second(x)
        return torch.relu(y), a


class Hidden(nn.Module):
    """Differs where a zero hides it: with the weights of its beginning it returns what it read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)
        nn.init.zeros_(self.conv.weight)
        nn.init.ones_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return F.sigmoid(self.relu(y)) + y


class Along(nn.Module):
    """An image times a vector: torch lays the vector along the width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y * self.pool(y).flatten(1)


class Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("strides", torch.tensor([8.0]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.relu(x), self.strides


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Residual, "Residual cannot be imported: with the same random weights the output of the imported network has"),
        (Alias, "Alias cannot be imported: with the same random weights output 1 of the imported network has"),
        (Hidden, "all layers agree, and what its own code does between them or behind them differs"),
        (Constant, "Constant returns tensors that it does not compute of the image"),
        (Along, "there is no op for a product of 8x8x8 and 8, which torch lays along the width"),
    ],
)
def test_another_function_is_not_returned(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError) as caught:
        spdbuild.import_module(make(), torch.randn(1, 3, 8, 8))
    assert message in str(caught.value)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model[0].register_forward_hook(lambda module, inputs, output: output * 2)
    return model


def pruned() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    prune.l1_unstructured(model[0], "weight", 0.5)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3))), "its weight is computed by"),
        (lambda: nn.Sequential(parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))), "its weight is computed by"),
        (pruned, "it has the hook L1Unstructured"),
        (hooked, "it has the hook hooked.<locals>.<lambda>"),
    ],
    ids=["weight norm", "spectral norm", "pruned", "hooked"],
)
def test_what_happens_outside_of_a_forward_is_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError) as caught:
        spdbuild.import_module(make(), torch.randn(1, 3, 8, 8))
    assert f"0 cannot be imported: {message}" in str(caught.value)


def test_blocks_that_no_choice_of_a_kernel_gives_are_refused() -> None:
    conv = spdbuild.nn.SpdConv2d(3, 4, 7, 2, 3)
    rows, columns = conv.windows
    conv.blocks = rows.blocks("same"), columns.blocks("exact")
    with pytest.raises(InputError, match="an SpdConv2d whose blocks are not those of its strided convolution"):
        spdbuild.import_module(nn.Sequential(conv), torch.randn(1, 3, 8, 8))


def test_what_was_pruned_or_normed_can_be_made_permanent() -> None:
    model = pruned()
    prune.remove(model[0], "weight")
    model.append(parametrizations.weight_norm(nn.Conv2d(4, 4, 3)))
    nn.utils.parametrize.remove_parametrizations(model[1], "weight")
    imported = spdbuild.import_module(model, torch.randn(1, 3, 8, 8))
    spdbuild.build(imported.architecture).load_state_dict(imported.weights)


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def test_an_example_of_several_images_is_refused() -> None:
    images = (torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8))
    with pytest.raises(InputError, match=r"needs one image \(N, C, H, W\) as its example, got a tuple"):
        spdbuild.import_module(Two(), images)  # type: ignore[arg-type]


class Single(nn.Module):
    """Has a tensor of float32 that no conversion of the module reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.kernel = nn.AdaptiveAvgPool2d(1), torch.rand(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.pool(x).flatten(1), self.kernel)


def test_a_module_that_does_not_run_in_float64_is_checked_in_its_own_precision() -> None:
    imported = spdbuild.import_module(Single(), torch.randn(2, 3, 8, 8))
    assert imported.error < 1e-6


@pytest.mark.parametrize("name", ["2nd net", "Ein Größenvergleich", "!"])
@pytest.mark.parametrize("source", ['the "best" net', "a \\ b: c # d", "first\nsecond", "日本"])
def test_any_name_and_source_can_be_written(name: str, source: str) -> None:
    imported = spdbuild.import_module(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.randn(1, 3, 8, 8), name, source)
    assert yaml.safe_load(imported.architecture.text)["source"] == source
    assert imported.error == 0


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x) if x.sum() > 0 else x


class Weighing(nn.Module):
    """Makes the tensor that it multiplies with while it runs."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1)


def test_a_tensor_that_is_made_while_the_module_runs_becomes_a_weight() -> None:
    imported = spdbuild.import_module(Weighing(), torch.randn(2, 3, 8, 8))
    assert imported.error == 0
    assert [tensor.flatten().tolist() for tensor in imported.weights.values()] == [[0.5, 1.0, 2.0]]


class Noting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.seen = nn.Conv2d(3, 4, 3), list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return self.conv(x)


def test_the_module_and_random_numbers_are_left_as_they_were() -> None:
    model, before = Noting(), torch.get_rng_state()
    imported = spdbuild.import_module(model, torch.ones(1, 3, 8, 8))
    assert model.seen == []
    assert torch.equal(torch.get_rng_state(), before)
    nn.init.zeros_(model.conv.weight)
    assert imported.weights["conv.weight"].abs().sum() > 0


def test_a_failed_trace_leaves_the_modes() -> None:
    model = Branching().train()
    with pytest.raises(InputError, match=r"torch.fx cannot follow Branching"):
        spdbuild.import_module(model, torch.randn(1, 3, 8, 8))
    assert all(part.training for part in model.modules())


class OfSize(nn.Module):
    """Computes numbers from the size of the image."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 8, 3, 2, 1), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.max_pool2d(x, x.shape[2] // 2), "128x128 the imported network has outputs of other shapes"),
        (lambda x: F.avg_pool2d(x, x.shape[2] // 2, 16).mean((2, 3)), "97x129 the imported network has a relative"),
    ],
    ids=["shape", "numbers"],
)
def test_numbers_that_depend_on_the_size_of_the_image_are_refused(
    function: Callable[[Tensor], Tensor], message: str
) -> None:
    with pytest.raises(InputError, match=f"for an image of {message}") as caught:
        spdbuild.import_module(OfSize(function), torch.randn(1, 3, 64, 64))
    assert "spdbuild.convert_module keeps that code" in str(caught.value)
