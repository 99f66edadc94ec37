"""What a recipe is: the keys of one training run, each checked with the others."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from spdbuild.data import DATASETS
from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.errors import ArgumentError
from spdbuild.losses.loss import LOSSES, Loss
from spdbuild.ranges import require_range
from spdbuild.roles import Role, role
from spdbuild.training.accumulation import Accumulation
from spdbuild.training.optimizers import OPTIMIZERS, Optimizer
from spdbuild.training.recipe.expected import check_expected
from spdbuild.training.recipe.folder_names import folder_fault
from spdbuild.training.recipe.image_steps import Steps, check_kinds, check_steps
from spdbuild.training.recipe.options import DistillOptions, EmaOptions, FirstWeights, Network
from spdbuild.training.recipe.sections import plain
from spdbuild.training.schedules import SCHEDULES, Schedule
from spdbuild.training.schedules.cosine import Cosine
from spdbuild.training.task import TASKS, Task
from spdbuild.yaml_text import yaml_text

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Network):
    """One training run: network, data, and how the one learns from the other.

    title: name of the run's folder; empty: that of the recipe's file.
    weights: what the run starts from; empty: random weights.
    task: what the network is for, that is what the data is for unless `name` picks another, and the options of it.
    data: the data set; `name` picks it.
    augment: random changes of training images, in this order.
    preprocess: what is done to every image behind `augment`, in training and in evaluation, such as normalize; nothing
        random.
    batch: images of a batch, over all processes.
    test_batch: images of a batch in evaluation, over all processes; empty: as `batch`.
    drop_last: whether a last batch that is not full is left out in training.
    epochs: passes over the training images.
    optimizer: what changes the weights; `name` picks it: all of torch.optim but lbfgs, which evaluates the loss several
        times a step, sparse_adam, which needs sparse gradients, and muon, which takes matrices alone.
    schedule: how the learning rate moves; `name` picks it.
    loss: what is minimised; `name` picks it; without one, or empty: the task's own.
    accumulate: batches whose gradients make one step; the last step of an epoch has those that are left.
    nominal_batch: images that make one step, in place of `accumulate`: round(nominal_batch / batch) batches, at least
        one, and the weight decay is multiplied by the share of it that they have; empty: as `accumulate` says.
    clip: greatest norm of the gradient; empty: any.
    ema: moving average of the weights; empty: none.
    distill: a teacher; empty: none.
    freeze: patterns of parameter names that are not trained, such as "stem.*".
    precision: numbers that convolutions work with; auto: bf16 where the device is faster with it, else fp32.
    channels_last: whether images and weights have their channels innermost in memory, which is quicker.
    compile: whether the model goes through torch.compile.
    sync_batch_norm: whether batch norm takes its statistics over all processes.
    deterministic: whether only algorithms are used that give the same bits each time; an op without one ends the run.
    patience: epochs without a better result after which the run ends; empty: never.
    max_minutes: training time after which the run ends, with an evaluation; empty: never.
    max_steps: steps after which the run ends, with an evaluation; empty: never.
    save_every: steps from one saved state to the next within an epoch; 0: at the ends of epochs.
    evaluate_every: epochs from one evaluation to the next; the last is always evaluated.
    seed: first number of all generators.
    workers: processes that decode images; no more are started than the machine has processors.
    device: auto, cpu, cuda, cuda:1 or mps.
    expect: values that metrics must reach at the end, such as {top1: 0.9} or {loss: 0.5}; a run with worse has failed.
    compare: more runs with some keys changed, such as {strided: {passes: []}}; a table of all follows at the end.
    """

    data: Annotated[Any, DATASETS] = field(metadata=role(Role.USED))
    title: str | None = None
    weights: FirstWeights | None = None
    task: Annotated[Task, TASKS] = field(default_factory=lambda: TASKS["classification"](), metadata=role(Role.USED))
    augment: tuple[Annotated[Any, AUGMENTATIONS], ...] = ()
    preprocess: tuple[Annotated[Any, AUGMENTATIONS], ...] = field(default=(), metadata=role(Role.USED))
    batch: int = field(default=128, metadata=role(Role.USED))
    test_batch: int | None = field(default=None, metadata=role(Role.RESUMED | Role.USED))
    drop_last: bool = False
    epochs: int = field(default=100, metadata=role(Role.RESUMED))
    optimizer: Annotated[Optimizer, OPTIMIZERS] = field(default_factory=lambda: default_optimizer())
    schedule: Annotated[Schedule, SCHEDULES] = field(default_factory=Cosine)
    loss: Annotated[Loss, LOSSES] | None = None
    accumulate: int = 1
    nominal_batch: int | None = None
    clip: float | None = None
    ema: EmaOptions | None = None
    distill: DistillOptions | None = None
    freeze: tuple[str, ...] = ()
    precision: Precision = field(default="auto", metadata=role(Role.USED))
    channels_last: bool = field(default=True, metadata=role(Role.USED))
    compile: bool = False
    sync_batch_norm: bool = True
    deterministic: bool = False
    patience: int | None = field(default=None, metadata=role(Role.RESUMED))
    max_minutes: float | None = field(default=None, metadata=role(Role.RESUMED))
    max_steps: int | None = field(default=None, metadata=role(Role.RESUMED))
    save_every: int = field(default=0, metadata=role(Role.RESUMED))
    evaluate_every: int = field(default=1, metadata=role(Role.RESUMED))
    seed: int = 0
    workers: int = field(default=2, metadata=role(Role.RESUMED | Role.USED))
    device: str = field(default="auto", metadata=role(Role.RESUMED | Role.USED))
    expect: dict[str, float] = field(default_factory=dict, metadata=role(Role.RESUMED))
    compare: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_range(self, *_FROM_ONE, least=1)
        require_range(self, *_FROM_ZERO, least=0)
        # torch's integers have 64 bits.
        require_range(self, *_FROM_ONE, *_FROM_ZERO, below=2**63)
        require_range(self, "clip", "max_minutes", above=0)
        fault = "" if self.title is None else folder_fault(self.title)
        if fault:
            hint = "a run's folder has this name below --runs"
            raise ArgumentError(f"the title '{self.title}' {fault}", argument="title", hint=hint)
        if self.nominal_batch is not None and self.accumulate != 1:
            message = f"nominal_batch={self.nominal_batch} says how many batches make a step, and so does accumulate"
            raise ArgumentError(message, argument="accumulate", hint="leave one of them out")
        self.schedule.check_optimizer(self.optimizer)
        with self.about("epochs", arguments="schedule"):
            self.schedule.check_epochs(self.epochs)
        check_expected(self.expect, self.task.metrics(), self)
        for name, hint in self.task.unused.items():
            if getattr(self, name):
                raise ArgumentError(f"'{name}' is not for {self.task.name}", argument=name, hint=hint)
        for argument, registry in {"data": DATASETS, "loss": LOSSES}.items():
            section = getattr(self, argument)
            if section is not None and section.task != self.task.name:
                fitting = [name for name, cls in registry.items() if cls.task == self.task.name]
                message = f"{argument}: '{section.name}' is for {section.task}, not for {self.task.name}"
                raise ArgumentError(message, argument=argument, hint=f"known: {', '.join(fitting)}")
        check_kinds(self._steps, self)
        self.check_steps()
        if self.loss is None:
            # So that the resolved recipe says which one it is.
            object.__setattr__(self, "loss", LOSSES[self.task.default_loss]())

    def resolved(self) -> str:
        """The recipe as YAML text with every default written out."""
        return yaml_text(plain(self))

    @property
    def _steps(self) -> Steps:
        return {"augment": self.augment, "preprocess": self.preprocess}

    def check_steps(self, size: tuple[int, int] | None = None) -> None:
        """Refuse steps of training images that do not go together, or that images of `size` do not fit; RecipeError.

        size: height and width; empty: such as images of any size have.
        """
        check_steps(self._steps, self, size)

    def loss_of(self) -> Loss:
        """The loss of the recipe, which is the task's own if it names none."""
        assert self.loss is not None
        return self.loss

    def accumulation(self, batches_per_epoch: int) -> Accumulation:
        """Which batches make a step together."""
        full = self.accumulate if self.nominal_batch is None else self.nominal_batch / self.batch
        growing = self.schedule.warmup(batches_per_epoch) if self.schedule.warmup_accumulate else 0
        return Accumulation(full, growing)

    def scaled_optimizer(self) -> Optimizer:
        """The optimizer with the weight decay that a full step's images have of that for `nominal_batch`."""
        if self.nominal_batch is None:
            return self.optimizer
        share = self.batch * Accumulation(self.nominal_batch / self.batch).batches(0) / self.nominal_batch
        return replace(self.optimizer, weight_decay=self.optimizer.weight_decay * share)


#: Keys that take whole numbers.
_FROM_ONE = (
    "batch",
    "test_batch",
    "epochs",
    "accumulate",
    "nominal_batch",
    "patience",
    "max_steps",
    "evaluate_every",
)
_FROM_ZERO = ("save_every", "seed", "workers")


def default_optimizer() -> Optimizer:
    """That of a recipe which names none."""
    return OPTIMIZERS["sgd"](lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)  # type: ignore[call-arg]
