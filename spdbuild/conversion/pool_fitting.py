"""Replacements of max pools, fitted to the outputs of the pools on calibration images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spdbuild.analysis.watching import evaluation, watched
from spdbuild.errors import ArgumentError, InputError, PassError
from spdbuild.nn.spd import SpdMaxPool2d, padded_blocks
from spdbuild.phases import phase_axes


def fit_pools(
    old_model: nn.Module,
    new_model: nn.Module,
    images: Iterable[Tensor | Sequence[Any]],
    keywords: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Fit each SpdMaxPool2d of the new model to the max pool of the same name in the old one; residuals by layer.

    Least squares on the inputs and outputs of the old model's pools, over all images, in float64. Each channel is
    fitted from the phases of its own block alone: s*s unknowns per channel, whose equations are small and well
    determined by a handful of images. Fitting from all channels would mean C*s*s unknowns per channel, which
    fits noise and takes (C*s*s)**2 numbers.

    images: batches of the old model's input, or tuples and lists that begin with one. Both models must be on their
        device. keywords: other arguments of the old model.
    A residual is the sum of squared errors over the sum of squared deviations from each channel's mean: 0 is exact, and
    1 no better than a constant. Raises PassError if a replacement reads another number of channels than its pool.
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
        _run(old_model, images, keywords or {})
    return {name: moments[name].fit() for name in pools}


def _run(model: nn.Module, images: Iterable[Tensor | Sequence[Any]], keywords: Mapping[str, Any]) -> None:
    """Run the model on all images, in evaluation mode."""
    if isinstance(images, Tensor):
        hint = "put it into a list: [images]"
        raise ArgumentError("images to calibrate with must come in batches, got one tensor", hint=hint)
    shown = 0
    with evaluation(model), torch.no_grad():
        for item in images:
            batch = item[0] if isinstance(item, Sequence) and item else item
            if not isinstance(batch, Tensor) or batch.dim() != 4:
                got = tuple(batch.shape) if isinstance(batch, Tensor) else f"a {type(batch).__name__}"
                raise ArgumentError(f"a batch of images to calibrate with must be a tensor (N, C, H, W), got {got}")
            model(batch, **keywords)
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
        """Add a batch: the input (N, C, H, W) and output (N, C, i, j) of the pool."""
        blocks = padded_blocks(x.double(), self.pool.windows, self.pool.blocks, "channel_row_column")
        split = blocks.reshape(len(blocks), y.shape[1], -1, *blocks.shape[2:])  # [N, C, P, i, j]
        phases = split.movedim(0, 2).flatten(2)  # [C, P, positions of all images]
        wanted = y.double().movedim(0, 1).flatten(1)  # [C, positions]
        self.gram += phases @ phases.mT
        self.cross += (phases @ wanted.unsqueeze(2)).squeeze(2)
        self.squares += wanted.square().sum(1)
        self.sums += wanted.sum(1)
        self.count += wanted.shape[1]

    def fit(self) -> float:
        """Give the pool the weights that fit best, and return the residual."""
        weights = (torch.linalg.pinv(self.gram, hermitian=True) @ self.cross.unsqueeze(2)).squeeze(2)  # [C, P]
        self._write(weights)
        explained = (weights * self.cross).sum(1)
        errors = (self.squares - explained).clamp(min=0).sum()
        deviations = (self.squares - self.sums.square() / self.count).sum()
        return float(errors / deviations) if deviations > 0 else 0.0

    def _write(self, weights: Tensor) -> None:
        """Set the weight so that each output combines the phases of its own channel."""
        channels, (height, width) = len(weights), self.pool.block
        own = torch.eye(channels, dtype=weights.dtype, device=weights.device)
        spread = torch.einsum("oc,cpq->ocpq", own, weights.reshape(channels, height, width))
        axes = phase_axes(self.pool.order, channel=1, row=2, column=3)
        with torch.no_grad():
            self.pool.weight.copy_(spread.permute(0, *axes).reshape(self.pool.weight.shape))
