"""The mean of the weights of several runs or files, with statistics of batch norms measured for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from torch import Tensor

from spdbuild.console import Console
from spdbuild.errors import ArgumentError, RecipeError, WeightsError
from spdbuild.system.files import is_same_file, require_writable
from spdbuild.system.freed_memory import freed_memory_kept
from spdbuild.system.out_of_memory import full_memory_told
from spdbuild.training.checkpoint import generators_kept, seed_generators
from spdbuild.training.device import current
from spdbuild.training.folder.run_folder import RunFolder, no_run_or
from spdbuild.training.network.network import check_input
from spdbuild.training.precision import autocast
from spdbuild.training.processes.lost_workers import lost_workers_told
from spdbuild.training.recipe.overrides import Overrides, listed
from spdbuild.training.trained.members import doubts
from spdbuild.training.trained.recalibration import STATISTICS, measured_norms, recalibrate
from spdbuild.training.trained.stored_run import StoredModel, load_model, own_weights, recipe_of
from spdbuild.weights import StoredWeights, save_weights
from spdbuild.weights.averaging import Member, average
from spdbuild.weights.facts import Facts
from spdbuild.weights.stored import Weights, weights_from

#: What files of one network say alike about it, besides the facts on its data.
_ALIKE = ("architecture", "variant")


@dataclass(frozen=True)
class Recalibration:
    """On what the statistics of batch norms were measured anew.

    recipe: as it was given. norms: how many were measured.
    """

    recipe: str
    images: int
    batches: int
    norms: int


@dataclass(frozen=True)
class Averaging:
    """The mean of several weights.

    weights: as a state_dict. sources: where each is from. recalibration: None if the statistics of batch norms are the
    mean of those in the files, too. facts: what all files say, as the metadata of a file. warnings: lines on sources
    whose mean may not be what one takes it for.
    """

    weights: Mapping[str, Tensor]
    sources: tuple[Mapping[str, str], ...]
    recalibration: Recalibration | None
    facts: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        measured = f"; recalibrated on {self.recalibration.images} images" if self.recalibration else ""
        return f"Averaging({len(self.weights)} tensors of {len(self.sources)} sources{measured})"

    @property
    def has_norms(self) -> bool:
        """Whether there are running statistics among the weights."""
        return any(name.endswith("running_mean") for name in self.weights)

    def to_dict(self) -> dict[str, Any]:
        """The facts on the mean as data for JSON, without the tensors."""
        measured = vars(self.recalibration) if self.recalibration else None
        return {
            "tensors": len(self.weights),
            "sources": list(map(dict, self.sources)),
            "recalibrated": measured,
            "warnings": list(self.warnings),
        }

    def metadata(self) -> dict[str, str]:
        """What a file of the mean says."""
        measured = {"recalibrated": json.dumps(vars(self.recalibration))} if self.recalibration else {}
        return {**self.facts, "sources": json.dumps(list(map(dict, self.sources))), **measured}


def average_weights(
    sources: Sequence[Weights],
    output: str | Path | None = None,
    *,
    key: str | None = None,
    prefix: str | None = None,
    recalibrate: str | Path | None = None,
    images: int | None = None,
    overrides: Overrides = (),
    quiet: bool = True,
    allow_imports: bool = False,
) -> Averaging:
    """The mean of several weights of one network: a uniform soup, or an average over checkpoints.

    sources: two or more folders of runs, whose best weights are taken, files, or state_dicts.
    output: safetensors file to write as well.
    key, prefix: where in each file the weights are, as in `import_weights`, for files that say no more than their path.
    recalibrate: a run's folder or a recipe, on whose training images, without augmentation and as often as its
        `sampling` says, the statistics of batch norms are measured for the mean, which the mean of the statistics only
        approximates. The names of the weights must be those of its network.
    images: how many of them, at random, rounded down to whole batches; by default all of an epoch.
    overrides: changes to that recipe.

    Sums are in float64, and each tensor has the type that it has in the files. Of the counters of batch norms the
    greatest is taken, or after a recalibration the number of its batches.
    Raises WeightsError, with all differences, for sources that have not the same names, shapes, types and classes; and
    RecipeError if a norm has but one number a channel in a batch of a recalibration.
    """
    if recalibrate is None and (images is not None or listed(overrides)):
        argument = "images" if images is not None else "overrides"
        raise ArgumentError(f"{argument} needs recalibrate", argument=argument)
    if images is not None and images < 1:
        raise ArgumentError(f"images must be at least 1, got {images}", argument="images")
    if isinstance(sources, str | Path | Mapping):
        got = "one state_dict" if isinstance(sources, Mapping) else f"one path: {sources}"
        message = f"sources are several runs, files or state_dicts, got {got}"
        raise ArgumentError(message, argument="sources", hint="give a list")
    _require_files(sources, key=key, prefix=prefix)
    chosen = [_chosen(source, key, prefix) for source in sources]
    output = None if output is None else Path(output)
    if output is not None:
        require_writable(output.parent)
        if recalibrate is not None and any(is_same_file(output, file) for file in _own_files(Path(recalibrate))):
            raise ArgumentError(f"{output} is of the run that is only measured on", argument="output")
    for source in chosen:
        if output is not None and isinstance(source, StoredWeights) and is_same_file(output, source.path):
            raise ArgumentError(f"{output} is one of the files that are averaged", argument="output")
    members = [
        Member.of_file(source) if isinstance(source, StoredWeights) else Member.of_state(source, f"state_dict {place}")
        for place, source in enumerate(chosen, start=1)
    ]
    _refuse_repeated(members)
    facts = _common_facts(chosen, members)
    runs = [run for run in map(_run_of, chosen) if run]
    warnings = doubts(runs) if runs else ()
    mean = average(members)
    recalibration = None
    if recalibrate is not None:
        mean, recalibration = _recalibrated(mean, recalibrate, images, overrides, Console(quiet), allow_imports)
    found = Averaging(mean, tuple(map(_origin, chosen, members)), recalibration, facts, warnings)
    if output is not None:
        save_weights(output, mean, found.metadata())
    return found


def _own_files(run: Path) -> tuple[Path, ...]:
    """The weights of a run that an average must not replace; of a recipe there are none."""
    return RunFolder(run).best, RunFolder(run).last


def _require_files(sources: Sequence[Weights], **choice: str | None) -> None:
    """Refuse a choice within files where no source is a file that it could be for."""
    given = [name for name, value in choice.items() if value]
    if given and not any(isinstance(source, str | Path) and not Path(source).is_dir() for source in sources):
        message = f"{given[0]} is for files, and none is among the sources"
        raise ArgumentError(message, argument=given[0], hint=f"leave {given[0]} out")


def _chosen(source: Weights, key: str | None, prefix: str | None) -> StoredWeights | Mapping[str, Tensor]:
    """The best weights of a run, a file with the choice for all files, or a state_dict."""
    if isinstance(source, str | Path) and Path(source).is_dir():
        return own_weights(RunFolder.open(Path(source)))
    if isinstance(source, str | Path):
        if not Path(source).exists():
            raise no_run_or("file of weights", source, "")
        return StoredWeights(source, key, prefix)
    given = weights_from(source)
    if given is None:
        raise ArgumentError("one of the sources is None", argument="sources", hint="leave it out")
    return given


def _origin(source: StoredWeights | Mapping[str, Tensor], member: Member) -> Mapping[str, str]:
    """Where weights are from, with the run of a file in its folder: all runs name their files alike."""
    run = _run_of(source)
    return {"run": run.path.name, **member.origin} if run else member.origin


def _run_of(source: StoredWeights | Mapping[str, Tensor]) -> RunFolder | None:
    """The run that a file of weights is of."""
    run = RunFolder(source.path.resolve().parent.parent) if isinstance(source, StoredWeights) else None
    return run if run and run.recipe.is_file() else None


def _refuse_repeated(members: Sequence[Member]) -> None:
    """Refuse a file that is given twice, and copies of one, such as those of a copied run."""
    seen: dict[tuple[str, ...], str] = {}
    for member in members:
        same = tuple(member.origin.get(name, "") for name in ("source_sha256", "source_key", "source_prefix"))
        if not same[0]:
            continue
        if same in seen:
            told = "is given twice" if member.name == seen[same] else f"is a copy of {seen[same]}"
            message = f"{member.name} {told}, and would count twice in the mean"
            raise ArgumentError(message, argument="sources", hint="name each once")
        seen[same] = member.name


def _common_facts(
    chosen: Sequence[StoredWeights | Mapping[str, Tensor]], members: Sequence[Member]
) -> Mapping[str, str]:
    """The metadata in which no two files differ; WeightsError if they have learned other classes."""
    files = [source for source in chosen if isinstance(source, StoredWeights)]
    facts = [Facts.of(file) for file in files]
    told = [(file.file, known.classes) for file, known in zip(files, facts, strict=True) if known.classes]
    for file, classes in told[1:]:
        _require_classes(file, classes, *told[0])
    alike = {field.name: {getattr(known, field.name) for known in facts} - {()} for field in fields(Facts)}
    common = Facts(**{name: values.pop() for name, values in alike.items() if len(values) == 1})
    texts = {key: {member.metadata.get(key, "") for member in members} - {""} for key in _ALIKE}
    named = {key: values.pop() for key, values in texts.items() if len(values) == 1}
    return named | {name: text for name, text in common.texts().items() if getattr(common, name)}


def _require_classes(file: str | Path, classes: tuple[str, ...], first: str | Path, expected: tuple[str, ...]) -> None:
    for place, (theirs, ours) in enumerate(zip_longest(classes, expected)):
        if theirs != ours:
            told, known = (f"'{name}'" if name else "missing" for name in (theirs, ours))
            raise WeightsError(f"{file}: class {place} is {told}, and in {first} {known}")


def _recalibrated(
    mean: dict[str, Tensor],
    run_or_recipe: str | Path,
    limit: int | None,
    overrides: Overrides,
    console: Console,
    allow_imports: bool,
) -> tuple[dict[str, Tensor], Recalibration]:
    """The mean with the statistics that batch norms have on the training images of a recipe."""
    recipe = recipe_of(run_or_recipe, overrides, allow_imports=allow_imports)
    task = recipe.task
    with recipe.about("data.root", "data", arguments="data"):
        images = task.to_learn(task.open(recipe, task.splits(recipe)[0]))
    size = task.size(recipe, images)
    stored = load_model(run_or_recipe, mean, overrides, tuple(images.classes), size, allow_imports=allow_imports)
    check_input(stored.recipe, stored.input, size)
    _require_own_names(mean, stored, run_or_recipe)
    norms = measured_norms(stored.model, recipe.freeze)
    batch = min(recipe.batch, len(images), len(images) if limit is None else limit)
    with current(stored.device), generators_kept(stored.device), freed_memory_kept():
        batches = task.calibration_batches(replace(recipe, batch=batch), images, stored.device)
        count = len(batches) if limit is None else min(limit // batch, len(batches))
        seed_generators(recipe.seed, rank=0)
        batches.set_epoch(0)
        with (
            lost_workers_told(),
            full_memory_told(f"a batch of {batch} images", lambda: "a smaller batch: --set batch=..."),
            console.bar("statistics of batch norms", count, of="") as bar,
            autocast(stored.precision, stored.device),
        ):
            seen = islice(iter(batches), count)
            try:
                recalibrate(stored.model, seen, recipe.freeze, lambda: bar.advance(1, "" if bar.due else None))
            except ValueError as error:
                # torch's, of a norm of images of one pixel; what else may raise it is no matter of the batch.
                if batch > 1:
                    raise
                message = "batches of 1 image give a norm one number a channel, which has no variance"
                raise RecipeError(message, hint="a larger batch, and images as many") from error
    state = stored.model.state_dict()
    measured = [f"{norm}.{part}" for norm in norms for part in STATISTICS]
    found = {name: state[name].cpu().to(mean[name].dtype) for name in measured if name in mean}
    return mean | found, Recalibration(str(run_or_recipe), count * batch, count, len(norms))


def _require_own_names(mean: Mapping[str, Tensor], stored: StoredModel, network: str | Path) -> None:
    """Refuse names that only a rename table or a prefix leads to: the statistics are put under those of the network."""
    other = [name for name in mean if name not in stored.model.state_dict()]
    if other:
        message = f"'{other[0]}' is no name of a weight of {network}, whose statistics are measured"
        hint = "`spdbuild weights import` gives a file the names of an architecture; --prefix cuts what is before them"
        raise WeightsError(message, hint=hint)
