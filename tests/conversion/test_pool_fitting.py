"""What replaces a max pool is the best linear fit, as numpy finds it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spdbuild
from spdbuild.conversion.pool_fitting import fit_pools
from spdbuild.conversion.weights import fit_converted_pools, transfer
from spdbuild.errors import InputError, PassError
from spdbuild.nn import SpdMaxPool2d

TEXT = """
model: m
inputs: {image: [3, 16, 16]}
layers:
  - conv: conv2d(4, 3)
  - relu()
  - pool: max_pool(2, stride=2)
  - head: conv2d(2)
"""


def images(count: int = 3) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, 16, 16) for _ in range(count)]


class Shown(nn.Module):
    """A model that is its pool."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x)


def test_the_fit_is_that_of_least_squares() -> None:
    new = Shown(SpdMaxPool2d(3, 2, 2))
    batches = images()
    residual = fit_pools(Shown(nn.MaxPool2d(2)), new, batches)["pool"]
    x = torch.cat(batches).double()
    errors = deviations = 0.0
    for channel in range(3):
        blocks = x[:, channel].reshape(6, 8, 2, 8, 2).permute(0, 1, 3, 2, 4).reshape(-1, 4).numpy()
        wanted = blocks.max(1)
        weights, squares, _, _ = np.linalg.lstsq(blocks, wanted, rcond=None)
        # SPD-Conv counts column, row, channel; the phases here row, column.
        found = new.pool.weight[channel].reshape(2, 2, 3)[:, :, channel].T.reshape(-1)
        np.testing.assert_allclose(found.detach().numpy(), weights, rtol=1e-4)
        errors += squares[0]
        deviations += ((wanted - wanted.mean()) ** 2).sum()
    assert residual == pytest.approx(errors / deviations, rel=1e-9)


def test_other_channels_get_no_weight() -> None:
    new = Shown(SpdMaxPool2d(3, 3, 2, 1))
    fit_pools(Shown(nn.MaxPool2d(3, 2, 1)), new, images())
    weight = new.pool.weight.reshape(3, 4, 3)  # out, phases, channels
    assert all((weight[o, :, c] == 0).all() for o in range(3) for c in range(3) if o != c)


def test_a_pool_of_blocks_with_equal_pixels_is_fitted_exactly() -> None:
    flat = [torch.randn(2, 3, 8, 8).repeat_interleave(2, 2).repeat_interleave(2, 3)]
    residual = fit_pools(Shown(nn.MaxPool2d(2)), Shown(SpdMaxPool2d(3, 2, 2)), flat)["pool"]
    assert residual == pytest.approx(0, abs=1e-12)


def test_a_fitted_network_comes_closer_than_the_mean() -> None:
    arch = spdbuild.load(TEXT)
    _, report = spdbuild.convert(arch)
    old = spdbuild.build(arch).eval()
    begun = transfer(report, old.state_dict())
    fitted, residuals = fit_converted_pools(report, old.state_dict(), begun, images())
    new = spdbuild.build(report.after).eval()
    errors = []
    for weights in (begun, fitted):
        new.load_state_dict(weights)
        errors.append(sum((new(x) - old(x)).square().sum().item() for x in images()))
    assert errors[1] < errors[0]
    assert 0 < residuals["pool"] < 1


def test_the_old_model_keeps_its_mode_and_has_no_hooks_left() -> None:
    old = Shown(nn.MaxPool2d(2)).train()
    fit_pools(old, Shown(SpdMaxPool2d(3, 2, 2)), images(1))
    assert old.training
    assert not old.pool._forward_hooks


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="there are no images to calibrate with"):
        fit_pools(Shown(nn.MaxPool2d(2)), Shown(SpdMaxPool2d(3, 2, 2)), [])


def test_a_pool_that_reads_more_channels_than_before_is_refused() -> None:
    with pytest.raises(PassError, match="'pool' reads 12 channels, where the pool reads 3"):
        fit_pools(Shown(nn.MaxPool2d(2)), Shown(SpdMaxPool2d(12, 2, 2)), images(1))


def test_the_modes_of_all_parts_are_as_before_whatever_happens() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.MaxPool2d(2)).train()
    model[0].eval()
    with pytest.raises(RuntimeError):
        fit_pools(model, nn.Sequential(nn.Identity(), SpdMaxPool2d(3, 2, 2)), [torch.zeros(1, 4, 8, 8)])
    assert [part.training for part in model.modules()] == [True, False, True]


def test_pixels_that_no_window_reads_do_not_count() -> None:
    seen = torch.randn(4, 3, 7, 9, generator=torch.Generator().manual_seed(0))
    cut, even = Shown(SpdMaxPool2d(3, 2, 2)), Shown(SpdMaxPool2d(3, 2, 2))
    pool = Shown(nn.MaxPool2d(2))
    residual = fit_pools(pool, cut, [seen])["pool"]
    assert residual == pytest.approx(fit_pools(pool, even, [seen[..., :6, :8]])["pool"], rel=1e-12)
    torch.testing.assert_close(cut.pool.weight, even.pool.weight)


@pytest.mark.parametrize("seed", range(12))
def test_an_exact_fit_has_no_residual_below_zero(seed: int) -> None:
    seen = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    flat = seen.repeat_interleave(2, 2).repeat_interleave(2, 3)
    residual = fit_pools(Shown(nn.MaxPool2d(2)), Shown(SpdMaxPool2d(3, 2, 2)), [flat])["pool"]
    assert 0 <= residual < 1e-12
