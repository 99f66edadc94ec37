"""What replaces a max pool, fitted to what the max pool puts out on calibration images."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from spdbuild.errors import InputError, PassError
from spdbuild.nn.resampling import space_to_depth
from spdbuild.nn.spd import SpdMaxPool2d
from spdbuild.phases import phase_axes
from spdbuild.watching import evaluation, watched


def fit_pools(old_model: nn.Module, new_model: nn.Module, images: Iterable[Tensor]) -> dict[str, float]:
    """Fit each SpdMaxPool2d of the new model to the max pool of the same name in the old one; residuals by layer.

    Least squares on what the pools of the old model read and put out, all images together, in float64. Each channel is
    fitted from the phases of its own block alone: s*s unknowns a channel, whose equations are small and well determined
    by a handful of images. All channels together would be C*s*s unknowns a channel, which fits noise and takes
    (C*s*s)**2 numbers.

    images: batches of the old model's input. Both models must be on their device.
    A residual is the sum of squared errors over the sum of squared deviations from each channel's mean: 0 is exact, and
    1 no better than a constant. Raises PassError if a pool reads other channels than it did.
    """
    pools = {name: module for name, module in new_model.named_modules() if isinstance(module, SpdMaxPool2d)}
    moments = {name: _Moments(module) for name, module in pools.items()}

    def add(name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        read, channels = inputs[0].shape[1], pools[name].out_channels
        if read != channels:
            raise PassError(
                f"'{name}' reads {channels} channels, where the pool reads {read}",
                hint='give the convolution in front of it placement "before"',
            )
        moments[name].add(inputs[0], output)

    with watched({name: old_model.get_submodule(name) for name in pools}, add):
        _run(old_model, images)
    return {name: moments[name].fit() for name in pools}


def _run(model: nn.Module, images: Iterable[Tensor]) -> None:
    """Show the model all images, in evaluation."""
    shown = 0
    with evaluation(model), torch.no_grad():
        for batch in images:
            model(batch)
            shown += len(batch)
    if not shown:
        raise InputError("there are no images to calibrate with")


class _Moments:
    """The normal equations of one pool, channel by channel.

    Letters: C channels, P phases of a block.
    """

    def __init__(self, pool: SpdMaxPool2d) -> None:
        self.pool = pool
        channels, phases = pool.out_channels, pool.block[0] * pool.block[1]
        zeros = partial(torch.zeros, dtype=torch.float64, device=pool.weight.device)
        self.gram, self.cross = zeros(channels, phases, phases), zeros(channels, phases)
        self.squares, self.sums, self.count = zeros(channels), zeros(channels), 0

    def add(self, x: Tensor, y: Tensor) -> None:
        """Count a batch: what the pool reads (N, C, H, W) and puts out (N, C, i, j)."""
        blocks = space_to_depth(self.pool.padded(x.double()), self.pool.block, "channel_row_column")
        split = blocks.reshape(len(blocks), y.shape[1], -1, *blocks.shape[2:])  # [N, C, P, i, j]
        phases = split.movedim(0, 2).flatten(2)  # [C, P, positions of all images]
        wanted = y.double().movedim(0, 1).flatten(1)  # [C, positions]
        self.gram += phases @ phases.mT
        self.cross += (phases @ wanted.unsqueeze(2)).squeeze(2)
        self.squares += wanted.square().sum(1)
        self.sums += wanted.sum(1)
        self.count += wanted.shape[1]

    def fit(self) -> float:
        """Give the pool the weights that fit best; the residual."""
        weights = (torch.linalg.pinv(self.gram, hermitian=True) @ self.cross.unsqueeze(2)).squeeze(2)  # [C, P]
        self._write(weights)
        explained = (weights * self.cross).sum(1)
        errors = (self.squares - explained).clamp(min=0).sum()
        deviations = (self.squares - self.sums.square() / self.count).sum()
        return float(errors / deviations) if deviations > 0 else 0.0

    def _write(self, weights: Tensor) -> None:
        """Let each output weigh the phases of its own channel."""
        channels, (height, width) = len(weights), self.pool.block
        own = torch.eye(channels, dtype=weights.dtype, device=weights.device)
        spread = torch.einsum("oc,cpq->ocpq", own, weights.reshape(channels, height, width))
        axes = phase_axes(self.pool.order, channel=1, row=2, column=3)
        with torch.no_grad():
            self.pool.weight.copy_(spread.permute(0, *axes).reshape(self.pool.weight.shape))
