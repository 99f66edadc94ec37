"""The network that is trained, with everything that trains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.training.network.first_weights import load_weights
from spdbuild.training.network.network import BuiltNetwork, build_network, check_input
from spdbuild.training.network.strided_pointwise import without_strides
from spdbuild.training.precision import make_scaler
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.recipe import Recipe
from spdbuild.training.run_data import RunData
from spdbuild.training.running.ema import Ema
from spdbuild.training.schedules.schedule import keep_own_rates, momentum_of


@dataclass
class Learner:
    """A model and what changes its weights.

    model: holds the weights. trained: the same model as training calls it: compiled if the recipe says so, and
        averaging gradients over processes. parallel: what averages them; None in a single process.
    teacher: a network whose outputs are a second target, if there is one.
    ema: the moving average of the model, if there is one.
    criterion: the task's function from outputs and targets to losses by name.
    momentum: the initial momentum of the optimizer.
    """

    model: nn.Module
    trained: nn.Module
    parallel: nn.parallel.DistributedDataParallel | None
    teacher: nn.Module | None
    ema: Ema | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    criterion: Any
    momentum: float

    @property
    def evaluated(self) -> nn.Module:
        """The model whose metrics count and whose weights are saved."""
        return self.ema.model if self.ema else self.model


def make_learner(
    recipe: Recipe,
    network: BuiltNetwork,
    data: RunData,
    precision: str,
    processes: Processes,
    device: torch.device,
) -> Learner:
    """The learner of the module of `network`, which is already on its device and frozen as the recipe says."""
    model = network.module
    ema = Ema(model, recipe.ema.decay, recipe.ema.ramp) if recipe.ema else None
    parallel = processes.wrap(model, device, recipe.sync_batch_norm)
    trained = parallel or model
    optimizer = recipe.scaled_optimizer().make(model)
    keep_own_rates(optimizer, recipe.optimizer.lr)
    return Learner(
        model=model,
        # Dynamic kernels would depend on the sizes that came before, and so on where a run was resumed.
        trained=torch.compile(trained, dynamic=False) if recipe.compile else trained,  # type: ignore[arg-type]
        parallel=parallel,
        teacher=_teacher(recipe, network, data, device),
        ema=ema,
        optimizer=optimizer,
        scaler=make_scaler(precision, device),
        criterion=recipe.task.criterion(recipe, model, data.train_images),
        momentum=momentum_of(optimizer),
    )


def placed(model: nn.Module, recipe: Recipe, device: torch.device) -> nn.Module:
    """The model on a device, in the memory format that the recipe wants."""
    model = model.to(device)
    if not recipe.channels_last:
        return model
    if device.type == "cpu":
        without_strides(model)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _teacher(recipe: Recipe, student: BuiltNetwork, data: RunData, device: torch.device) -> nn.Module | None:
    if recipe.distill is None:
        return None
    teacher = build_network(recipe.distill, len(data.classes), data.size)
    check_input(recipe.distill, teacher.input, data.size)
    with recipe.distill.weights.about("file"):
        load_weights(teacher, recipe.distill.weights)
    given, wanted = (_outputs(network) for network in (teacher, student))
    if given != wanted:
        message = f"the teacher gives {given} and the network {wanted}"
        place = recipe.distill.place("vars.classes", "architecture")
        raise RecipeError(message, location=place, hint="both need the same outputs, as many classes too")
    return placed(teacher.module, recipe, device).eval().requires_grad_(False)


def _outputs(network: BuiltNetwork) -> str:
    graph = network.architecture.graph
    return ", ".join(str(graph.shape_of(output)) for output in graph.outputs)
