"""A recipe: one training run as a plain YAML mapping, checked as a whole before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from spdbuild import builtin
from spdbuild.data import DATASETS
from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.errors import ArgumentError, RecipeError, SourceError, SpdbuildError
from spdbuild.losses.loss import LOSSES, Loss
from spdbuild.schema import check_schema
from spdbuild.source import Source, Value, parse_yaml, read_source
from spdbuild.training.accumulation import Accumulation
from spdbuild.training.expected import check_expected
from spdbuild.training.first_weights import FirstWeights
from spdbuild.training.image_steps import check_kinds, check_steps
from spdbuild.training.optimizers import OPTIMIZERS, Optimizer
from spdbuild.training.overrides import apply_override, merged, with_renaming
from spdbuild.training.places import Placed
from spdbuild.training.schedules import SCHEDULES, Schedule
from spdbuild.training.schedules.cosine import Cosine
from spdbuild.training.sections import Schema, plain, read_section, section_schema
from spdbuild.training.task import TASKS, Task
from spdbuild.training.written_schema import as_written
from spdbuild.training.yaml_text import yaml_text

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Network(Placed):
    """Which network, rewritten how.

    architecture: built-in name or path, such as cifar_resnet20.
    variant: one of the architecture's variants.
    vars: values for the architecture's vars; `classes` is that of the data unless it is given here.
    passes: calls of rewrite passes, run in this order: "strided_to_spd(kernel='exact')".
    input: shape [C, H, W] of an image; empty: that of the data.
    """

    architecture: str
    variant: str | None = None
    vars: dict[str, Any] = field(default_factory=dict)
    passes: tuple[str, ...] = ()
    input: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class EmaOptions:
    """A second model that is the moving average of the trained one, and is what is evaluated and saved as best.

    decay: share of the average that stays at a step.
    ramp: steps after which the decay has reached 63 % of its value; 0: it is what it is from the start.
    """

    decay: float = 0.9999
    ramp: float = 2000.0

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ArgumentError(f"decay must be at least 0 and less than 1, got {self.decay}", argument="decay")
        if self.ramp < 0:
            raise ArgumentError(f"ramp must be at least 0, got {self.ramp}", argument="ramp")


@dataclass(frozen=True, kw_only=True)
class DistillOptions(Network):
    """A trained network whose outputs are a second target.

    weights: file with the weights of the teacher, all of which must fit.
    temperature: by what logits are divided before they are compared.
    share: share of the loss that is the distance from the teacher.
    """

    weights: str
    temperature: float = 4.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ArgumentError(f"temperature must be more than 0, got {self.temperature}", argument="temperature")
        if not 0 <= self.share <= 1:
            raise ArgumentError(f"share must be between 0 and 1, got {self.share}", argument="share")


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

    data: Annotated[Any, DATASETS]
    title: str | None = None
    weights: FirstWeights | None = None
    task: Annotated[Task, TASKS] = field(default_factory=lambda: TASKS["classification"]())
    augment: tuple[Annotated[Any, AUGMENTATIONS], ...] = ()
    preprocess: tuple[Annotated[Any, AUGMENTATIONS], ...] = ()
    batch: int = 128
    test_batch: int | None = None
    drop_last: bool = False
    epochs: int = 100
    optimizer: Annotated[Optimizer, OPTIMIZERS] = field(default_factory=lambda: _default_optimizer())
    schedule: Annotated[Schedule, SCHEDULES] = field(default_factory=Cosine)
    loss: Annotated[Loss, LOSSES] | None = None
    accumulate: int = 1
    nominal_batch: int | None = None
    clip: float | None = None
    ema: EmaOptions | None = None
    distill: DistillOptions | None = None
    freeze: tuple[str, ...] = ()
    precision: Precision = "auto"
    channels_last: bool = True
    compile: bool = False
    sync_batch_norm: bool = True
    deterministic: bool = False
    patience: int | None = None
    max_minutes: float | None = None
    max_steps: int | None = None
    save_every: int = 0
    evaluate_every: int = 1
    seed: int = 0
    workers: int = 2
    device: str = "auto"
    expect: dict[str, float] = field(default_factory=dict)
    compare: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ArgumentError(f"{name} must be at least {least}, got {value}", argument=name)
            if value is not None and value >= 2**63:
                raise ArgumentError(f"{name} must be less than 2**63, got {value}", argument=name)
        for name in ("clip", "max_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ArgumentError(f"{name} must be more than 0, got {value}", argument=name)
        fault = "" if self.title is None else _folder_fault(self.title)
        if fault:
            hint = "a run's folder has this name below --runs"
            raise ArgumentError(f"the title '{self.title}' {fault}", argument="title", hint=hint)
        if self.nominal_batch is not None and self.accumulate != 1:
            message = f"nominal_batch={self.nominal_batch} says how many batches make a step, and so does accumulate"
            raise ArgumentError(message, argument="accumulate", hint="leave one of them out")
        self.schedule.check_optimizer(self.optimizer)
        with self.about("epochs", arguments="schedule"):
            self.schedule.check_epochs(self.epochs)
        check_expected(self)
        for name, hint in self.task.unused.items():
            if getattr(self, name):
                raise ArgumentError(f"'{name}' is not for {self.task.name}", argument=name, hint=hint)
        for argument, registry in {"data": DATASETS, "loss": LOSSES}.items():
            section = getattr(self, argument)
            if section is not None and section.task != self.task.name:
                fitting = [name for name, cls in registry.items() if cls.task == self.task.name]
                message = f"{argument}: '{section.name}' is for {section.task}, not for {self.task.name}"
                raise ArgumentError(message, argument=argument, hint=f"known: {', '.join(fitting)}")
        check_kinds(self)
        check_steps(self)
        if self.loss is None:
            # So that the resolved recipe says which one it is.
            object.__setattr__(self, "loss", LOSSES[self.task.default_loss]())

    def resolved(self) -> str:
        """The recipe as YAML text with every default written out."""
        return yaml_text(plain(self))

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


_LEAST = {
    "batch": 1,
    "test_batch": 1,
    "epochs": 1,
    "accumulate": 1,
    "nominal_batch": 1,
    "patience": 1,
    "max_steps": 1,
    "save_every": 0,
    "evaluate_every": 1,
    "seed": 0,
    "workers": 0,
}


#: What the folder of a run has in it besides twins.
_TAKEN = (
    *("weights", "state", "report"),
    *("recipe.yaml", "architecture.yaml", "environment.json", "log.txt"),
    *("metrics.jsonl", "metrics.csv", "comparison.md"),
)


def _folder_fault(name: str) -> str:
    """Why a name cannot be that of a folder in another one; empty if it can."""
    if not name.strip() or name in (".", ".."):
        return "is none that a folder can have"
    wrong = next((sign for sign in name if sign in "/\\" or not sign.isprintable()), "")
    return f"has {wrong!r} in it" if wrong else ""


def _default_optimizer() -> Optimizer:
    return OPTIMIZERS["sgd"](lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)  # type: ignore[call-arg]


def recipe_schema() -> Schema:
    """The JSON Schema (draft 2020-12) of a recipe as it is written, where `extends` and defaults stand for the rest."""
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | as_written(_complete_schema())


def _complete_schema() -> Schema:
    """The schema of a recipe that has been filled in, made from the fields of everything that is registered."""
    schema = section_schema(Recipe)
    schema["properties"]["extends"] = {"type": "string", "description": "a recipe whose keys are the defaults here"}
    return {"title": "spdbuild recipe", **schema}


def load_recipe(recipe: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of a path, a built-in name or YAML text, with `key.path=value` and `~key.path` applied in order.

    Raises SpdbuildError with the place of everything that is wrong.
    """
    value = _read(_source(recipe))
    for text in overrides:
        value = apply_override(_spelled_out(value), text)
    _refuse_extends(value, "name that recipe in place of this one")
    value = _completed(_titled(value))
    problems = check_schema(value, _complete_schema())
    if problems:
        raise RecipeError.gather(with_renaming(problems, value))
    read: Recipe = read_section(Recipe, value)
    twins(read, value)
    return read


def twins(recipe: Recipe, value: Value | None = None) -> dict[str, Recipe]:
    """The further recipes that `compare` asks for, by name."""
    root = value or parse_yaml(Source("recipe", recipe.resolved()))
    entries = root.get("compare")
    found = {}
    for name, changes in entries.items() if entries else ():
        if not isinstance(changes.data, dict):
            raise RecipeError("a twin is a mapping of the keys that differ", location=changes.location)
        fault = _folder_fault(name) or ("is taken by the run itself" if name in (*_TAKEN, recipe.title) else "")
        if fault:
            hint = "each twin has a folder of this name in that of the run"
            raise RecipeError(f"the twin's name '{name}' {fault}", location=changes.location, hint=hint)
        if "expect" in changes.data:
            message = "a twin has nothing to reach: 'expect' is for the run that it is compared with"
            raise RecipeError(message, location=changes.data["expect"].location)
        _refuse_extends(changes, "write the keys themselves that differ")
        alone = replace(root, data={key: entry for key, entry in root.data.items() if key != "compare"})
        twin = _completed(merged(alone, changes))
        problems = check_schema(twin, _complete_schema())
        if problems:
            raise RecipeError.gather(problems)
        found[name] = replace(read_section(Recipe, twin), title=name)
    return found


def _source(recipe: str | Path) -> Source:
    if isinstance(recipe, str) and "\n" in recipe:
        return Source("<text>", recipe)
    return read_source(builtin.find(str(recipe), "recipes"))


def _read(source: Source, below: tuple[str, ...] = ()) -> Value:
    """The mapping of a source over that of the recipe it extends."""
    value = parse_yaml(source)
    if not isinstance(value.data, dict):
        raise SourceError("a recipe is a mapping of keys", location=value.location, hint="architecture: resnet50")
    base = value.get("extends")
    if base is None or not isinstance(base.data, str):
        return value
    if source.name in below:
        raise RecipeError(f"'{source.name}' extends itself", location=base.location)
    try:
        parent = _read(_source(_beside(source, base.data)), (*below, source.name))
    except SpdbuildError as error:
        raise error.at(base.location) from None
    own = replace(value, data={key: entry for key, entry in value.data.items() if key != "extends"})
    return merged(parent, own)


def _refuse_extends(value: Value, hint: str) -> None:
    """Only a file extends another recipe, and where it was read the key is gone."""
    given = value.get("extends")
    if given is not None and isinstance(given.data, str):
        raise RecipeError("'extends' is for the file of a recipe", location=given.key, hint=hint)


def _beside(source: Source, name: str) -> str:
    """A path is meant from the recipe that names it; anything else is a built-in name."""
    path = Path(source.name).parent / name
    return str(path) if path.is_file() else name


#: Keys of a recipe whose section can be a text: the key that this text has in the section.
_SHORT = {"task": "name", "weights": FirstWeights.short}


def _spelled_out(value: Value) -> Value:
    """`task: detection` means a task without further options."""
    entries = dict(value.data)
    for key, inner in _SHORT.items():
        given = entries.get(key)
        if given is not None and isinstance(given.data, str):
            entries[key] = replace(given, data={inner: given})
    return replace(value, data=entries)


def _completed(value: Value) -> Value:
    """`optimizer: {lr: 0.1}` means the default optimizer with another learning rate; so with `schedule` and `loss`."""
    entries = _with_task(_spelled_out(value).data)
    defaults: dict[str, Any] = {"optimizer": _default_optimizer(), "schedule": Cosine(), "loss": _own_loss(entries)}
    for key, default in defaults.items():
        given = entries.get(key)
        if given is None or not isinstance(given.data, dict) or "name" in given.data:
            continue
        if default is None:
            del entries[key]  # as with a task that is not known, nothing can be said about it
            continue
        section = parse_yaml(Source("default", yaml_text(plain(default))))
        entries[key] = replace(merged(section, given), key=given.key)
    return replace(value, data=entries)


def _own_loss(entries: dict[str, Any]) -> Loss | None:
    """The loss of the task; None if it has no name that is known."""
    task = entries.get("task")
    name = task.get("name") if task is not None else None
    known = name is not None and isinstance(name.data, str) and name.data in TASKS
    return LOSSES[TASKS[name.data].default_loss]() if name is not None and known else None


def _with_task(entries: dict[str, Any]) -> dict[str, Any]:
    """A task without a name is the task of the data; with data that is wrong, nothing can be said about it."""
    data, given = entries.get("data"), entries.get("task")
    chosen = data.get("name") if data is not None and isinstance(data.data, dict) else None
    if given is not None and (not isinstance(given.data, dict) or "name" in given.data):
        return entries
    if chosen is None or not isinstance(chosen.data, str) or chosen.data not in DATASETS:
        return {key: entry for key, entry in entries.items() if key != "task"}
    name = parse_yaml(Source("default", f"name: {DATASETS[chosen.data].task}"))
    return {**entries, "task": name if given is None else replace(merged(name, given), key=given.key)}


def _titled(value: Value) -> Value:
    """The file's name as the title, unless one is given."""
    if "title" in value.data or value.source.name == "<text>":
        return value
    title = replace(value, data=Path(value.source.name).stem)
    return replace(value, data={"title": title, **value.data})
