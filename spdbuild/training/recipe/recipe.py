"""The recipe: the keys of one training run, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from spdbuild.data import DATASETS
from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.data.sampling import SAMPLINGS, Sampling
from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import ArgumentError
from spdbuild.losses.loss import LOSSES, Loss
from spdbuild.text.yaml_text import yaml_text
from spdbuild.training.accumulation import Accumulation
from spdbuild.training.initializers import INITIALIZERS, Initializer
from spdbuild.training.optimizers import OPTIMIZERS, Optimizer
from spdbuild.training.recipe.expected import check_expected
from spdbuild.training.recipe.image_steps import Steps, check_kinds, check_steps
from spdbuild.training.recipe.options import DistillOptions, EmaOptions, FirstWeights, Network
from spdbuild.training.recipe.sections import plain
from spdbuild.training.schedules import SCHEDULES, Schedule
from spdbuild.training.schedules.shapes import Cosine
from spdbuild.training.task import TASKS, Task

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Network):
    """One training run: the network, the data, and how the one learns from the other.

    title: name of the run's folder; empty: that of the recipe's file, "recipe" for a mapping, "run" for a text.
    init: initializers by patterns of the names of layers, such as {"*": kaiming_normal, "*.norm2": zeros}; layers that
        no pattern matches start as torch makes them.
    weights: what the run starts from; empty: random weights.
    task: what the network is for, and its options; `name` picks the task; by default that of the data.
    data: the data set; `name` picks it.
    augment: random changes of training images, applied in this order.
    preprocess: steps for every image after `augment`, in training and in evaluation, such as normalize; none may be
        random.
    sampling: how often an epoch has each training image; `name` picks the way; empty: once.
    batch: images per batch, over all processes.
    test_batch: images per batch in evaluation, over all processes; empty: as `batch`.
    drop_last: whether training leaves out a last batch that is not full.
    epochs: passes over the training images. A run that is resumed with more keeps the evaluation of its former last
        epoch, which counts for patience and the best epoch, so it may end otherwise than one that had as many at once.
    optimizer: what updates the weights; `name` picks it: any of torch.optim except lbfgs, which evaluates the loss
        several times per step, sparse_adam, which needs sparse gradients, and muon, which takes only matrices.
    schedule: how the learning rate changes over the run; `name` picks it.
    loss: what is minimised; `name` picks it; without a name, or empty: the task's own.
    accumulate: batches whose gradients are accumulated for one step; the last step of an epoch has those that are left.
    nominal_batch: images per step, in place of `accumulate`: round(nominal_batch / batch) batches, at least one; the
        weight decay is multiplied by the ratio of their images to nominal_batch; empty: as `accumulate` says.
    clip: maximum norm of the gradient; empty: no limit.
    ema: moving average of the weights; empty: none.
    distill: a teacher; empty: none.
    freeze: patterns of parameters that are not trained, or of blocks and sections with all that is in them, such as
        [backbone] or ["stem", "*.norm"]; batch norms that are frozen keep their statistics, too.
    precision: number format in which convolutions compute; auto: bf16 where the device is faster with it, else fp32.
    channels_last: whether images and weights have their channels innermost in memory, which is faster.
    compile: whether the model goes through torch.compile.
    sync_batch_norm: whether batch norm computes its statistics over all processes.
    deterministic: whether to use only algorithms that give the same bits each time; an op without one ends the run.
    patience: epochs without improvement after which the run ends; empty: never.
    max_minutes: training time after which the run ends, with an evaluation; empty: never.
    max_steps: steps after which the run ends, with an evaluation; empty: never.
    save_every: steps between saved states within an epoch; 0: only at the end of each epoch.
    evaluate_every: epochs between evaluations; the last epoch is always evaluated.
    seed: seed of all random number generators.
    workers: processes that load images; at most as many are started as the machine has processors.
    device: auto, cpu, cuda, cuda:1 or mps; auto: a CUDA GPU if there is one, else the processor.
    expect: values that metrics must reach at the end, such as {top1: 0.9} or {loss: 0.5}; a run that misses one fails.
    compare: more runs with some keys changed, such as {strided: {passes: []}}; a table at the end shows them all.
    """

    data: Annotated[Any, DATASETS] = field(metadata=role(Role.USED))
    title: str | None = None
    init: dict[str, Annotated[Initializer, INITIALIZERS]] = field(default_factory=dict)
    weights: FirstWeights | None = None
    task: Annotated[Task, TASKS] = field(default_factory=lambda: TASKS["classification"](), metadata=role(Role.USED))
    augment: tuple[Annotated[Any, AUGMENTATIONS], ...] = ()
    preprocess: tuple[Annotated[Any, AUGMENTATIONS], ...] = field(default=(), metadata=role(Role.USED))
    sampling: Annotated[Sampling, SAMPLINGS] | None = None
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
            if section is not None and section.task not in self.task.kinds():
                fitting = [name for name, cls in registry.items() if cls.task in self.task.kinds()]
                message = f"{argument}: '{section.name}' is for {section.task}, not for {self.task.name}"
                hint = f"known: {', '.join(fitting)}" if fitting else f"set task: {section.task}"
                raise ArgumentError(message, argument=argument, hint=hint)
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
        """Refuse image steps that do not fit together, or that do not fit images of `size`; raises RecipeError.

        size: height and width; None: refuse only what fails for images of any size.
        """
        check_steps(self._steps, self, size)

    def loss_of(self) -> Loss:
        """The loss of the recipe, which is the task's own if it names none."""
        assert self.loss is not None
        return self.loss

    def accumulation(self, batches_per_epoch: int) -> Accumulation:
        """Which batches form a step."""
        full = self.accumulate if self.nominal_batch is None else self.nominal_batch / self.batch
        growing = self.schedule.warmup(batches_per_epoch) if self.schedule.warmup_accumulate else 0
        return Accumulation(full, growing)

    def scaled_optimizer(self) -> Optimizer:
        """The optimizer, with its weight decay scaled by the ratio of a full step's images to `nominal_batch`."""
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
    """The optimizer of a recipe that names none."""
    return OPTIMIZERS["sgd"](lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)  # type: ignore[call-arg]


def folder_fault(name: str) -> str:
    """Why a name cannot be that of a subfolder; empty if it can."""
    if not name.strip() or name in (".", ".."):
        return "is none that a folder can have"
    wrong = next((sign for sign in name if sign in "/\\" or not sign.isprintable()), "")
    return f"has {wrong!r} in it" if wrong else ""
