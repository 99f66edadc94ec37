"""Whether an imported network computes what the module does: both run, with the same random numbers."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._pytree import tree_leaves

from spdbuild.analysis.agreement import relative_error
from spdbuild.analysis.watching import copied, watched
from spdbuild.errors import InputError
from spdbuild.graph import Graph
from spdbuild.importing.steps import Steps
from spdbuild.importing.tracing import Traced
from spdbuild.importing.translate import translate
from spdbuild.modules import compile_graph

#: Relative error that an import may have: the same operations in the same order differ in nothing but rounding.
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def state_of(graph: Graph, steps: Steps) -> dict[str, Tensor]:
    """The state_dict of the module of a graph that has these steps."""
    return {
        f"{node.name}.{key}": tensor
        for node, step in zip(graph.layers, steps.steps, strict=True)
        for key, tensor in step.weights.items()
    }


def check_import(graph: Graph, traced: Traced, module: nn.Module, example: Tensor) -> float:
    """How far the outputs of a graph are from those of the module that was traced, relative to the greatest output.

    Both get the same random weights, so that no weight of zero hides a mistake, and a random input of the example's
    shape; in float64, or in the example's own dtype where the module does not run in float64. They are compared on an
    image of another size, too, if both take it: the module's own code may compute numbers from the size.
    Raises InputError where they differ, and says where they begin to.
    """
    random = torch.Generator().manual_seed(0)
    x = torch.randn(example.shape, generator=random, dtype=torch.float64).to(example.device)
    theirs = _randomized(module, random)
    try:
        old = _run(theirs.double(), x)
    except Exception:  # whatever third-party code raises that makes tensors of a fixed dtype
        x = x.to(example.dtype)
        old = _run(theirs.to(example.dtype), x)
    for name in _constants(traced):
        setattr(theirs, name, getattr(traced.module, name))
    steps = translate(replace(traced, module=theirs))
    ours = compile_graph(graph, "meta").eval()
    ours.load_state_dict(state_of(graph, steps), assign=True)
    pairs = zip(graph.layers, steps.steps, strict=True)
    names = {".".join((*step.path, step.label)): node.name for node, step in pairs if step.label}
    new = _run(ours, x)
    if len(old) != len(new):
        raise InputError(f"{type(module).__name__} returns tensors that it does not compute of the image")
    errors = [relative_error(*pair) for pair in zip(old, new, strict=True)]
    wrong = [number for number, error in enumerate(errors) if not error <= _TOLERANCES[x.dtype]]
    if wrong:
        which = f"output {wrong[0]} of" if len(errors) > 1 else "the output of"
        raise InputError(
            f"{type(module).__name__} cannot be imported: with the same random weights {which} the imported "
            f"network has a relative error of {errors[wrong[0]]:.1e}; {_first_difference(theirs, ours, names, x)}",
            hint="in-place operations on a tensor that is read again, and shapes that torch broadcasts, have no op",
        )
    _check_other_size(theirs, ours, names, x, random)
    return max(errors)


def _check_other_size(
    theirs: nn.Module, ours: nn.Module, names: dict[str, str], x: Tensor, random: torch.Generator
) -> None:
    """Raise InputError if both take an image of another size than `x`, and their outputs for it differ.

    names: those of layers of `theirs` -> of ours.
    """
    if x.dim() != 4:
        return
    height, width = x.shape[2:]
    # Odd sizes reveal the most, but nothing about networks that upsample by whole numbers.
    odd, even = (height + 33, width + 65), (2 * height, 2 * width)
    for size in (odd, even):
        other = torch.randn(*x.shape[:2], *size, generator=random, dtype=torch.float64).to(x)
        try:
            old, new = _run(theirs, other), _run(ours, other)
        except Exception:  # whatever third-party code raises for a size that it does not take
            continue
        error = max(map(relative_error, old, new))
        if size == odd and math.isinf(error):  # outputs of other shapes
            continue
        if not error <= _TOLERANCES[x.dtype]:
            found = "outputs of other shapes" if math.isinf(error) else f"a relative error of {error:.1e}"
            raise InputError(
                f"{type(theirs).__name__} cannot be imported: for an image of {size[0]}x{size[1]} the imported network "
                f"has {found}; {_first_difference(theirs, ours, names, other)}",
                hint="its code computes numbers from the size of the image; spdbuild.convert_module keeps that code",
            )
        return


def _randomized(module: nn.Module, random: torch.Generator) -> nn.Module:
    """A copy in evaluation mode, with random weights and running statistics."""
    other = copied(module).eval()
    norms = [part for part in other.modules() if isinstance(part, _NormBase)]
    for tensor in [*other.parameters(), *(buffer for norm in norms for buffer in norm.buffers())]:
        if tensor.is_floating_point():
            numbers = torch.rand(tensor.shape, generator=random, dtype=torch.float64)
            # Kernels that preserve the variance of their input; scales, biases and variances around one.
            bound = math.sqrt(6 / max(1, tensor[0].numel())) if tensor.dim() > 1 else 0.0
            tensor.data.copy_((2 * numbers - 1) * bound if bound else numbers + 0.5)
    return other


def _constants(traced: Traced) -> list[str]:
    """Names under which torch.fx keeps tensors that the module makes while it runs."""
    return [name for name in vars(traced.module) if name.startswith("_tensor_constant")]


def _run(model: nn.Module, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return [leaf for leaf in tree_leaves(model(x.clone())) if isinstance(leaf, Tensor)]


def _first_difference(theirs: nn.Module, ours: nn.Module, names: dict[str, str], x: Tensor) -> str:
    """Where the outputs of layers begin to differ.

    names: those of layers of `theirs` -> of ours.
    """
    old, new = (_outputs(model, layers, x) for model, layers in ((theirs, names.keys()), (ours, set(names.values()))))
    for name, output in old.items():
        other = new.get(names[name])
        # A third-party layer may have its channels on another axis than ours.
        if other is None or other.shape != output.shape:
            continue
        if not relative_error(output, other) <= _TOLERANCES[x.dtype]:
            return f"the first layer that differs is '{name}'"
    return "all layers agree, and what its own code does between them or behind them differs"


def _outputs(model: nn.Module, layers: Collection[str], x: Tensor) -> dict[str, Tensor]:
    """The outputs of layers when the model runs, by name, in the order in which they run."""
    noted: dict[str, Tensor] = {}

    def note(name: str, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            noted[name] = output.clone()

    with watched({name: part for name, part in model.named_modules() if name in layers}, note):
        _run(model, x)
    return noted
