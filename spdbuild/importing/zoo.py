"""Networks of model libraries by name: `torchvision:resnet50`, `timm:convnext_atto`; always with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from spdbuild.errors import InputError, UnknownNameError, nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Pixels of the example, for a network that does not say what it was made for.
SIZE = 224


def is_named(text: str) -> bool:
    """Whether a text asks for a network of a library: `torchvision:resnet50`."""
    return text.partition(":")[0] in _LIBRARIES and ":" in text


def network(text: str, size: Sequence[int] | None = None, classes: int | None = None) -> tuple[nn.Module, Tensor]:
    """The network that `library:name` means, in evaluation, and one image for it.

    size: channels, height and width of the image, in place of what the library says. classes: the same of its classes.
    Raises UnknownNameError for a name that the library does not have, and InputError if it is not installed.
    """
    import torch

    library, _, name = text.partition(":")
    if library not in _LIBRARIES:
        raise UnknownNameError(f"there is no model library '{library}'", hint=nearest(library, _LIBRARIES))
    model, pixels = _LIBRARIES[library](name, {} if classes is None else {"num_classes": classes})
    return model.eval(), torch.rand(1, *(size or (3, pixels, pixels)), generator=torch.Generator().manual_seed(0))


def _torchvision(name: str, options: dict[str, Any]) -> tuple[nn.Module, int]:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError(f"torchvision has no classification network '{name}'", hint=nearest(name, known))
    # These two warn unless they are told how to initialize.
    told = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    return models.get_model(name, **told, **options), 299 if name == "inception_v3" else SIZE


def _timm(name: str, options: dict[str, Any]) -> tuple[nn.Module, int]:
    if find_spec("timm") is None:
        raise InputError("timm is not installed", hint="pip install 'spdbuild[timm]'")
    import timm

    if name not in timm.list_models():
        raise UnknownNameError(f"timm has no network '{name}'", hint=nearest(name, timm.list_models()))
    model = timm.create_model(name, **options)
    made_for: dict[str, Any] = vars(model)["default_cfg"]
    return model, int(made_for.get("input_size", (3, SIZE, SIZE))[-1])


_Maker = Callable[[str, dict[str, Any]], tuple["nn.Module", int]]
_LIBRARIES: dict[str, _Maker] = {"torchvision": _torchvision, "timm": _timm}
