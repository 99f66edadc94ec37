"""Batch norm over the batch of all processes, on any device; torch's own refuses CPUs."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, distributed, nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of the gradients over all processes."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


class SyncBatchNorm(nn.BatchNorm2d):
    """nn.BatchNorm2d whose training statistics are those of the samples of all processes, [N, C, ...]."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Allow any number of axes after the channels."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        x = input.float()
        axes = [axis for axis in range(x.dim()) if axis != 1]
        local = x.new_tensor([x.numel() / x.shape[1]])
        summed = _SumOverProcesses.apply(torch.cat([x.sum(axes), local]))
        count = summed[-1].detach()
        mean = summed[:-1] / count
        centred = x - _over_channels(mean, x)
        variance = _SumOverProcesses.apply((centred * centred).sum(axes)) / count
        self._update_statistics(mean.detach(), variance.detach() * (count / (count - 1).clamp(min=1)))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        y = centred * _over_channels(scale, x)
        return (y + _over_channels(self.bias, x) if self.affine else y).to(input.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def synchronized(model: nn.Module) -> nn.Module:
    """`model`, whose batch norms are replaced by ones over all processes; names and weights stay."""
    for name, child in model.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(model, name, _synchronized_norm(child))
        else:
            synchronized(child)
    return model


def _synchronized_norm(norm: nn.modules.batchnorm._BatchNorm) -> nn.Module:
    tensors = chain(norm.buffers(), norm.parameters())
    device = next((tensor.device for tensor in tensors), torch.device("cpu"))
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return converted
    made = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    made.to(device)
    made.load_state_dict(norm.state_dict())
    made.train(norm.training)
    for name, parameter in norm.named_parameters():
        made.get_parameter(name).requires_grad_(parameter.requires_grad)
    return made


def _over_channels(values: Tensor, x: Tensor) -> Tensor:
    """[C] -> [1, C, 1, ...], to broadcast against x."""
    return values.view(1, -1, *[1] * (x.dim() - 2))
