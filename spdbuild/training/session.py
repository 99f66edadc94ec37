"""Everything that a run holds while it trains, made from its recipe; its state as one mapping, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import torch
from torch import nn

from spdbuild.console import Console
from spdbuild.errors import DataError, RecipeError, WeightsError, first_line
from spdbuild.ops.normalization import BatchNorm
from spdbuild.out_of_memory import full_memory_told, is_out_of_memory
from spdbuild.training.accumulation import Accumulation
from spdbuild.training.checkpoint import (
    Position,
    damaged,
    generator_states,
    restore_generators,
    seed_generators,
)
from spdbuild.training.distributed import Processes
from spdbuild.training.ema import Ema
from spdbuild.training.first_weights import load_weights, start
from spdbuild.training.freezing import freeze
from spdbuild.training.image_size import check_input
from spdbuild.training.network import BuiltNetwork, build_network
from spdbuild.training.precision import choose_precision, make_scaler
from spdbuild.training.recipe import Recipe
from spdbuild.training.run_folder import RunFolder
from spdbuild.training.schedules.schedule import momentum_of
from spdbuild.training.task import Batches, Task
from spdbuild.weights import describe_module, match


@dataclass
class Session:
    """The parts of a run.

    model: holds the weights. trained: the same as the loop calls it: compiled, and averaging gradients over processes.
    parallel: what averages them; None in a single process.
    description: texts of the files that say what the run is made of, by their path below its folder.
    """

    recipe: Recipe
    folder: RunFolder
    console: Console
    processes: Processes
    device: torch.device
    precision: str
    task: Task
    train_images: Any
    test_images: Any
    classes: tuple[str, ...]
    network: BuiltNetwork
    model: nn.Module
    trained: nn.Module
    parallel: nn.parallel.DistributedDataParallel | None
    teacher: nn.Module | None
    ema: Ema | None
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    criterion: Any
    train_batches: Batches
    test_batches: Batches
    position: Position
    momentum: float
    accumulation: Accumulation
    description: dict[str, str] = field(default_factory=dict)

    @property
    def evaluated(self) -> nn.Module:
        """The model whose metrics count and whose weights are saved."""
        return self.ema.model if self.ema else self.model

    @property
    def first_batch(self) -> int:
        """The number in the run of the epoch's first batch, counted from 0."""
        return self.position.epoch * len(self.train_batches)

    def state(self) -> dict[str, Any]:
        """All that an exact resume needs. Every process takes part."""
        return {
            "position": self.position.plain(),
            "data": self._data(),
            "model": self.model.state_dict(),
            "ema": {"updates": self.ema.updates, "model": self.ema.model.state_dict()} if self.ema else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "counts": self.processes.gather(self.position.counts()),
            "generators": self.processes.gather(generator_states(self.device)),
        }

    def _data(self) -> dict[str, Any]:
        """What must not change between the parts of a run, by split."""
        splits = {"train on": self.train_images, "evaluate on": self.test_images}
        return {
            name: {"images": len(images), "classes": list(images.classes), "digest": getattr(images, "digest", "")}
            for name, images in splits.items()
        }

    def _check_data(self, before: dict[str, Any]) -> None:
        """Refuse other data than that which the run began with."""
        hint = f"bring back the data, or start a new run from weights={self.folder.last}"
        for name, now in self._data().items():
            if now["classes"] != before[name]["classes"]:
                raise DataError(f"the images to {name} have other classes than when the run began", hint=hint)
            if now["images"] != before[name]["images"]:
                message = (
                    f"there are {now['images']:,} images to {name}, and {before[name]['images']:,} when the run began"
                )
                raise DataError(message, hint=hint)
            # States of older versions, and images of others' tasks, have none.
            if now["digest"] != before[name].get("digest", now["digest"]):
                message = f"the images to {name} have other names, labels or pixels than when the run began"
                raise DataError(message, hint=hint)

    def restore(self, state: dict[str, Any]) -> None:
        """Become what `state` was taken of.

        Raises WeightsError if that was another network or optimizer, DataError if it was other data.
        """
        with self._sound("'data'"):
            self._check_data(state["data"])
        with self._sound("'model'"):
            self._check_network(state["model"])
            self.model.load_state_dict(state["model"])
        with self._sound("'optimizer'"):
            self._take_optimizer(state["optimizer"])
        with self._sound("'ema'"):
            if self.ema and state["ema"] is not None:
                self.ema.model.load_state_dict(state["ema"]["model"])
                self.ema.updates = int(state["ema"]["updates"])
        with self._sound("'scaler'"):
            # That of another precision is empty, which another device can bring along.
            if state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
        with self._sound("'position'"):
            self.position = Position.of(state["position"])
        # With another number of processes than before, the sums of the epoch so far are those of the first ones.
        counts, generators, rank = state["counts"], state["generators"], self.processes.rank
        with self._sound("'counts'"):
            self.position.take(counts[min(rank, len(counts) - 1)], self.device)
        if len(generators) == self.processes.world:
            with self._sound("'generators'"):
                restore_generators(generators[rank], self.device)

    @contextmanager
    def _sound(self, part: str) -> Iterator[None]:
        """The context in which a part of the state is taken, which may be anything: its file can have been damaged."""
        with full_memory_told("the state of the run", lambda: "free memory of the device, and go on"):
            try:
                yield
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
                if is_out_of_memory(error):
                    raise
                raise damaged(self.folder.state, part) from None

    def _take_optimizer(self, state: dict[str, Any]) -> None:
        try:
            self.optimizer.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError) as error:
            if is_out_of_memory(error):
                raise
            reason = first_line(error)
            raise WeightsError(f"{self.folder.state}: the state is of another optimizer: {reason}") from None

    def _check_network(self, weights: dict[str, Any]) -> None:
        try:
            match(describe_module(self.model), weights)
        except WeightsError as error:
            reason = error.problems[0].message
            raise WeightsError(f"{self.folder.state}: the state is of another network: {reason}") from None


def make_session(
    recipe: Recipe,
    folder: RunFolder,
    console: Console,
    processes: Processes,
    device: torch.device,
    *,
    fresh: bool = True,
) -> Session:
    """Open the data, build the network, and make what trains it.

    fresh: whether the network is fitted to the data; one that is restored has been.
    """
    # Every process starts from the same weights and draws its own numbers from then on.
    seed_generators(recipe.seed, rank=0)
    task = recipe.task
    with recipe.about("data.root", "data"):
        train_images, test_images = (task.open(recipe, split) for split in task.splits(recipe)[:2])
        train_images = task.to_learn(train_images)
        _check_alike(recipe, train_images, test_images)
    classes = tuple(train_images.classes)
    with recipe.about("batch"):
        processes.share(recipe.batch)
        batches = [
            task.batches(recipe, images, training=training, rank=processes.rank, world=processes.world, device=device)
            for images, training in ((train_images, True), (test_images, False))
        ]
    size = task.size(recipe, test_images)
    network = build_network(recipe, len(classes), size)
    check_input(recipe, network.input, size)
    _check_norms(recipe, network, len(train_images), processes.world)
    if recipe.weights is not None:
        console.line(start(network, recipe.weights, task.settled(recipe, network.module)))
    model = _placed(network.module, recipe, device)
    if fresh:
        remarks = task.remarks(train_images, "to train on") + task.remarks(test_images, "to evaluate on")
        warmup, whole = recipe.schedule.warmup_batches, len(batches[0]) * recipe.epochs
        if warmup >= whole:
            remarks.append(f"the warm-up of {warmup:,} batches is as long as the run, which has {whole:,}")
        for line in remarks + task.prepare(recipe, model, train_images):
            console.line(line)
    with recipe.about("freeze"):
        freeze(model, recipe.freeze)
    precision = choose_precision(recipe.precision, device)
    with recipe.about("vars.classes", "architecture"):
        _check_outputs(task, model, network, classes, device)
    ema = Ema(model, recipe.ema.decay, recipe.ema.ramp) if recipe.ema else None
    parallel = processes.wrap(model, device, recipe.sync_batch_norm)
    trained = parallel or model
    optimizer = recipe.scaled_optimizer().make(model)
    seed_generators(recipe.seed, processes.rank)
    return Session(
        recipe=recipe,
        folder=folder,
        console=console,
        processes=processes,
        device=device,
        precision=precision,
        task=task,
        train_images=train_images,
        test_images=test_images,
        classes=classes,
        network=network,
        model=model,
        # Kernels for sizes as they come would depend on those that came before, and so on where a run was resumed.
        trained=torch.compile(trained, dynamic=False) if recipe.compile else trained,  # type: ignore[arg-type]
        parallel=parallel,
        teacher=_teacher(recipe, network, classes, size, device),
        ema=ema,
        optimizer=optimizer,
        scaler=make_scaler(precision, device),
        criterion=task.criterion(recipe, model, train_images),
        train_batches=batches[0],
        test_batches=batches[1],
        position=Position(),
        momentum=momentum_of(optimizer),
        accumulation=recipe.accumulation(len(batches[0])),
    )


def _check_alike(recipe: Recipe, train_images: Any, test_images: Any) -> None:
    """Refuse images to evaluate on that have other classes or another size than those to train on."""
    for number, (ours, theirs) in enumerate(zip_longest(train_images.classes, test_images.classes)):
        if ours != theirs:
            trained, tested = ("missing" if name is None else f"'{name}'" for name in (ours, theirs))
            message = f"class {number} is {trained} in the images to train on and {tested} in those to evaluate on"
            raise DataError(message, hint="both need the same classes in the same order, also those without an image")
    sizes = [getattr(images, "size", None) for images in (train_images, test_images)]
    if sizes[0] != sizes[1]:
        trained, tested = ("x".join(map(str, size[::-1])) if size else "any" for size in sizes)
        message = f"the images to train on have {trained} pixels, and those to evaluate on {tested}"
        scaled = "give the side in pixels that all shall have, such as data.size: 64"
        raise DataError(message, hint=scaled if hasattr(recipe.data, "size") else "give all images one size")


def _check_norms(recipe: Recipe, network: BuiltNetwork, images: int, world: int) -> None:
    """Refuse batches of one image where a norm would get one number a channel, which has no variance."""
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


def _placed(model: nn.Module, recipe: Recipe, device: torch.device) -> nn.Module:
    model = model.to(device)
    return model.to(memory_format=torch.channels_last) if recipe.channels_last else model  # type: ignore[call-overload,no-any-return]


def _teacher(
    recipe: Recipe, student: BuiltNetwork, classes: tuple[str, ...], size: tuple[int, int] | None, device: torch.device
) -> nn.Module | None:
    if recipe.distill is None:
        return None
    teacher = build_network(recipe.distill, len(classes), size)
    check_input(recipe.distill, teacher.input, size)
    with recipe.distill.about("weights"):
        load_weights(teacher, recipe.distill.weights)
    given, wanted = (_outputs(network) for network in (teacher, student))
    if given != wanted:
        message = f"the teacher gives {given} and the network {wanted}"
        place = recipe.distill.place("vars.classes", "architecture")
        raise RecipeError(message, location=place, hint="both need the same outputs, as many classes too")
    return _placed(teacher.module, recipe, device).eval().requires_grad_(False)


def _outputs(network: BuiltNetwork) -> str:
    graph = network.architecture.graph
    return ", ".join(str(graph.shape_of(output)) for output in graph.outputs)


@torch.no_grad()
def _check_outputs(
    task: Task, model: nn.Module, network: BuiltNetwork, classes: tuple[str, ...], device: torch.device
) -> None:
    """Let the task look at the outputs for one empty image."""
    training = model.training
    outputs = model.eval()(torch.zeros(1, *network.input, device=device))
    model.train(training)
    task.check(outputs, classes)
