"""The statistics of batch norms, measured anew for weights that were not trained with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spdbuild.errors import WeightsError
from spdbuild.training.freezing import freeze, train_mode

_Norm = nn.modules.batchnorm._BatchNorm

#: What a batch norm keeps of the batches that it has seen.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def measured_norms(model: nn.Module, frozen: Collection[str] = ()) -> dict[str, _Norm]:
    """The batch norms whose statistics follow the data, by name; WeightsError if there is none.

    The model is put into training mode. frozen: patterns of what a recipe does not train.
    """
    if frozen:
        freeze(model, frozen)
    train_mode(model, frozen)
    norms = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _Norm) and module.track_running_stats and module.training
    }
    if not norms:
        message = "the network has no batch norm whose statistics could be measured anew"
        raise WeightsError(message, hint="leave --recalibrate out (from Python: recalibrate)")
    return norms


@torch.no_grad()
def recalibrate(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Any]],
    frozen: Collection[str] = (),
    advance: Callable[[], None] = lambda: None,
) -> None:
    """Set the running statistics of batch norms to the mean of those of the batches, each counting the same.

    That is what torch.optim.swa_utils.update_bn does, except that frozen batch norms keep their statistics. As there,
    dropout is active, as it was when training measured its statistics. The model is left in evaluation mode.

    batches: on the device of the model. frozen: patterns as in `measured_norms`. advance: called after each batch.
    """
    norms = list(measured_norms(model, frozen).values())
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        for images, _ in batches:
            model(images)
            advance()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.eval()
