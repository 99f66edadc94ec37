"""Everything that a run holds while it trains, made from its recipe."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from spdbuild.console import Console
from spdbuild.errors import RecipeError
from spdbuild.ops.normalization import BatchNorm
from spdbuild.training.accumulation import Accumulation
from spdbuild.training.checkpoint import Position, seed_generators
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.freezing import freeze
from spdbuild.training.network.first_weights import start, teacher_line
from spdbuild.training.network.initialization import initialize
from spdbuild.training.network.network import BuiltNetwork, build_network, check_input
from spdbuild.training.network.scaling import check_scales, scales_line
from spdbuild.training.precision import choose_precision
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.recipe import Recipe
from spdbuild.training.run_data import RunData, open_data
from spdbuild.training.running.learner import Learner, make_learner, placed
from spdbuild.training.task import Task


@dataclass
class Session:
    """The parts of a run.

    recipe: with the network that the folder holds once it does. text: the run's own recipe, as the folder has it.
    description: texts of the files that describe the run, by path below its folder.
    """

    recipe: Recipe
    text: str
    folder: RunFolder
    console: Console
    processes: Processes
    device: torch.device
    precision: str
    data: RunData
    network: BuiltNetwork
    learner: Learner
    position: Position
    description: dict[str, str] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        return self.recipe.task

    @property
    def first_batch(self) -> int:
        """The number of the epoch's first batch within the run, counted from 0."""
        return self.position.epoch * len(self.data.train_batches)

    @property
    def steadier(self) -> str:
        """What keeps the numbers of a training finite, as a hint."""
        further = "or set clip" if self.precision == "fp32" else "set clip, or set precision=fp32"
        return f"lower optimizer.lr, {further}"

    @property
    def accumulation(self) -> Accumulation:
        """Which batches form a step."""
        return self.recipe.accumulation(len(self.data.train_batches))


def make_session(
    recipe: Recipe,
    folder: RunFolder,
    console: Console,
    processes: Processes,
    device: torch.device,
    *,
    text: str | None = None,
    fresh: bool = True,
) -> Session:
    """Open the data, build the network, and make what trains it.

    text: the run's own recipe, where `recipe` has the network of its folder.
    fresh: whether to initialize the network and fit it to the data; a restored one has been through both.
    """
    # Every process starts from the same weights and draws its own numbers from then on.
    seed_generators(recipe.seed, rank=0)
    data = open_data(recipe, processes, device)
    network = build_network(recipe, len(data.classes), data.size, seed=recipe.seed)
    check_input(recipe, network.input, data.size)
    _check_norms(recipe, network, len(data.train_images), processes.world)
    if fresh:
        initialize(network.module, recipe)
    if recipe.weights is not None:
        settled = recipe.task.settled(recipe, network.module)
        console.line(start(network, recipe.weights, settled, tuple(data.classes)))
    model = placed(network.module, recipe, device)
    if fresh:
        for line in _remarks(recipe, data) + recipe.task.prepare(recipe, model, data.train_images):
            console.line(line)
    with recipe.about("freeze"):
        freeze(model, recipe.freeze)
    precision = choose_precision(recipe.precision, device)
    with recipe.about("vars.classes", "architecture"):
        _check_outputs(recipe.task, network, data.classes, device)
    check_scales(model, recipe)
    learner = make_learner(recipe, network, data, precision, processes, device)
    if line := scales_line(model, learner.optimizer):
        console.line(line)
    if recipe.distill is not None:
        console.line(teacher_line(recipe.distill.weights))
    seed_generators(recipe.seed, processes.rank)
    return Session(
        recipe,
        text or recipe.resolved(),
        folder,
        console,
        processes,
        device,
        precision,
        data,
        network,
        learner,
        Position(),
    )


def _remarks(recipe: Recipe, data: RunData) -> list[str]:
    """What the user should know about the data and the schedule."""
    task = recipe.task
    remarks = task.remarks(data.train_images, "to train on") + task.remarks(data.test_images, "to evaluate on")
    if recipe.sampling is not None:
        with recipe.about("sampling"):
            remarks.append(recipe.sampling.described(task.occurrences(data.train_images), data.classes))
    warmup, whole = recipe.schedule.warmup_batches, len(data.train_batches) * recipe.epochs
    if warmup >= whole:
        remarks.append(f"the warm-up of {warmup:,} batches is as long as the run, which has {whole:,}")
    return remarks


def _check_norms(recipe: Recipe, network: BuiltNetwork, images: int, world: int) -> None:
    """Refuse batches of one image where a norm would get one number per channel, which has no variance."""
    last = recipe.batch if recipe.drop_last else images % recipe.batch or recipe.batch
    if (last if recipe.sync_batch_norm else last // world) > 1:
        return
    given = "a batch of 1 image" if last == 1 else f"a batch of {last} images leaves one of {world} processes 1, and"
    for node in network.architecture.graph:
        if isinstance(node.op, BatchNorm) and node.shape.pixels == 1:
            message = f"{given} gives the norm '{node.name}' one number a channel, which has no variance"
            if last < recipe.batch:
                message = f"the last of the batches of {recipe.batch} has {last} of {images} images, and {message}"
            hint = "set drop_last=true, or another batch" if last < recipe.batch else "set a larger batch"
            hint += "" if recipe.sync_batch_norm or last == 1 else ", or sync_batch_norm=true"
            raise RecipeError(message, location=recipe.place("batch", "data"), hint=hint)


@torch.no_grad()
def _check_outputs(task: Task, network: BuiltNetwork, classes: tuple[str, ...], device: torch.device) -> None:
    """Let the task look at the outputs for one empty image."""
    model: nn.Module = network.module
    training = model.training
    outputs = model.eval()(torch.zeros(1, *network.input, device=device))
    model.train(training)
    task.check(outputs, classes)
