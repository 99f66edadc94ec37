"""The optimizers of torch.optim: their arguments and defaults become the keys of a recipe."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import torch
from torch import nn

from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.registry import snake_case
from spdbuild.errors import ArgumentError
from spdbuild.training.optimizers.optimizer import OPTIMIZERS, Optimizer

#: The base class, and those that need what a training step does not give: a closure, sparse gradients, matrices only.
_OTHERS = {"Optimizer", "LBFGS", "SparseAdam", "Muon"}

#: Arguments about how the update is computed, not what it is; spdbuild chooses them.
_TECHNICAL = {"params", "foreach", "fused", "capturable", "differentiable", "maximize"}

#: Where one of them differs from what the keys of all optimizers say.
_NOTES = {"Rprop": ", which uses lr only for its first step sizes: no schedule changes them. It has no weight decay"}

_NAMES = {"NAdam": "nadam", "RAdam": "radam", "AdamW": "adamw", "RMSprop": "rmsprop", "SGD": "sgd", "ASGD": "asgd"}


def _check(self: Any) -> None:
    Optimizer.__post_init__(self)
    if self.weight_decay and "weight_decay" not in inspect.signature(self.implementation).parameters:
        raise ArgumentError(f"{self.name} has no weight decay, got {self.weight_decay}", argument="weight_decay")
    if hasattr(self, "momentum"):
        require_range(self, "momentum", least=0, below=1)
    options = _options(self)
    try:
        _ask(self.implementation, {"lr": self.lr, **options})
    except ValueError as error:
        raise ArgumentError(f"{self.name}: {error}", argument=_refused(self.implementation, options)) from None


def _make(self: Any, model: nn.Module) -> torch.optim.Optimizer:
    cls = self.implementation
    groups = self.groups(model)
    options = _options(self)
    if "fused" in inspect.signature(cls).parameters:
        on_one_device = len({p.device.type for group in groups for p in group["params"]}) == 1
        fusible = on_one_device and groups[0]["params"][0].device.type in ("cpu", "cuda")
        # torch does not dampen the first update, so `_zero_momentum` leaves it unchanged only without dampening.
        options["fused"] = fusible and not options.get("dampening")
    optimizer = cls(groups, lr=self.lr, **options)
    if isinstance(optimizer, torch.optim.SGD):
        _zero_momentum(optimizer)
    return optimizer  # type: ignore[no-any-return]


def _options(self: Any) -> dict[str, Any]:
    """The constructor's arguments besides the learning rate; the weight decay is set per group."""
    return {name: getattr(self, name) for name in _arguments(self.implementation) if name not in ("lr", "weight_decay")}


def _ask(cls: type[torch.optim.Optimizer], options: dict[str, Any]) -> None:
    """Let torch check the arguments of an optimizer; raises ValueError.

    Adding parameters is left out: for the first ones of a process torch imports its compiler, which doubles the time
    to check a recipe.
    """
    asked = type(cls.__name__, (cls,), {"add_param_group": lambda self, group: None})
    asked([torch.zeros(1)], **options)


def _refused(cls: type[torch.optim.Optimizer], options: dict[str, Any]) -> str:
    """The one of `options` without which torch accepts the others; empty if there is none."""
    for name in options:
        others = {key: value for key, value in options.items() if key != name}
        try:
            _ask(cls, others)
        except ValueError:
            continue
        return name
    return ""


def _zero_momentum(optimizer: torch.optim.SGD) -> None:
    """Start the momentum of a fused SGD at zero, which leaves its first update the same.

    torch allocates the buffer in the first update and does not fill it if that one is skipped, as it is while the scale
    of an fp16 loss is too large; the second update would then read uninitialized memory.
    """
    for group in optimizer.param_groups:
        if group["fused"] and group["momentum"]:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _arguments(cls: type[torch.optim.Optimizer]) -> dict[str, Any]:
    """Names and defaults of the arguments that define the update."""
    parameters = inspect.signature(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in _TECHNICAL and _kind(p.default)}


def _kind(default: Any) -> Any:
    """The type of a field with this default; None for a default that no recipe can write."""
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return float
    if isinstance(default, tuple) and all(isinstance(item, int | float) for item in default):
        return tuple.__class_getitem__((float,) * len(default))
    return None


def _section(cls: type[torch.optim.Optimizer]) -> type[Optimizer]:
    defaults = _arguments(cls)
    fields = [
        (name, _kind(default), dataclasses.field(default=_written(default))) for name, default in defaults.items()
    ]
    name = _NAMES.get(cls.__name__) or snake_case(cls.__name__)
    return dataclasses.make_dataclass(
        cls.__name__,
        fields,
        bases=(Optimizer,),
        namespace={
            "__doc__": f"torch.optim.{cls.__name__}{_NOTES.get(cls.__name__, '')}.",
            "__module__": __name__,
            "name": name,
            "implementation": cls,
            "make": _make,
            "__post_init__": _check,
        },
        frozen=True,
    )


def _written(default: Any) -> Any:
    """The default in the type of its field: torch writes 0 for floats, too."""
    if isinstance(default, tuple):
        return tuple(map(float, default))
    return default if isinstance(default, bool) else float(default)


def _optimizers() -> list[type[torch.optim.Optimizer]]:
    found = [getattr(torch.optim, name) for name in dir(torch.optim) if name not in _OTHERS]
    return [cls for cls in found if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer)]


for _cls in _optimizers():
    # Under its name in this module, so that pickle finds it.
    globals()[_cls.__name__] = OPTIMIZERS.register(_section(_cls))
