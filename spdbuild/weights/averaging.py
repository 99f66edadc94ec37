"""The mean of several weights of one network: uniform soups, and averages over checkpoints of a run.

Source: Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima and Better Generalization", arXiv:1803.05407;
Wortsman et al. 2022, "Model soups", arXiv:2203.05482, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spdbuild.errors import ArgumentError, Problem, WeightsError
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.loading import require_tensors
from spdbuild.weights.matching import COUNTER
from spdbuild.weights.opening import open_weights
from spdbuild.weights.prefixes import averaging_counts
from spdbuild.weights.stored import STATE_DICT, StoredWeights
from spdbuild.wording.phrases import number
from spdbuild.wording.quantities import shapes_text

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Member:
    """Weights that are averaged with others, before they are read.

    name: of the file or the state_dict in messages. origin, metadata: where they are from, and what their file says.
    """

    name: str
    tensors: Mapping[str, TensorInfo]
    load: Callable[[], Mapping[str, Tensor]]
    origin: Mapping[str, str]
    metadata: Mapping[str, str]

    @classmethod
    def of_file(cls, weights: StoredWeights) -> Member:
        """The weights of a file without what stands before their names, if `prefix` says it; raises WeightsError."""
        contents = open_weights(weights.path, weights.key)
        names = _names(contents.tensors, str(weights.file), weights.prefix)

        def load() -> dict[str, Tensor]:
            tensors = contents.load()
            return {ours: tensors[theirs] for ours, theirs in names.items()}

        infos = {ours: contents.tensors[theirs] for ours, theirs in names.items()}
        found = replace(weights, key=contents.taken_from or None)
        return cls(str(weights.file), infos, load, found.origin(), contents.metadata)

    @classmethod
    def of_state(cls, state: Mapping[str, Tensor], name: str) -> Member:
        """The weights of a state_dict; raises ArgumentError for a mapping that is none."""
        require_tensors(state)
        names = _names(state, name, None)
        infos = {
            ours: TensorInfo(
                tuple(state[ours].shape), str(state[ours].dtype).removeprefix("torch."), state[ours].nbytes
            )
            for ours in names
        }
        return cls(name, infos, lambda: {ours: state[ours] for ours in names}, {"source": STATE_DICT}, {})


def average(members: Sequence[Member]) -> dict[str, Tensor]:
    """The mean of each tensor, summed in float64 and rounded once to the type that it has in the files.

    Of the counters of batch norms, which only a momentum of None reads, the greatest is taken: the norm that has seen
    most batches, so that one more moves its statistics least. Other integers must be the same in all.

    Raises WeightsError with all differences if the members have not the same names, shapes and types, or if one has a
    value that is no number, or the infinity of the other sign; and ArgumentError for fewer than two.
    """
    import torch

    if len(members) < 2:
        message = f"an average is of two or more weights, got {len(members)}"
        raise ArgumentError(message, argument="sources", hint="name the folders of runs, or files of weights")
    first, *others = members
    if problems := [problem for other in others for problem in _differences(first, other)]:
        raise WeightsError.gather(problems)
    sums = _wide(first)
    for other in others:
        _add(sums, _wide(other), first, other)

    def mean(name: str) -> Tensor:
        total = sums[name]
        # Of what the file says, for to read it once more would take as long as the sum.
        return (total / len(members)).to(getattr(torch, first.tensors[name].dtype)) if _has_mean(total) else total

    return {name: mean(name) for name in sums}


def _names(tensors: Mapping[str, object], holder: str, prefix: str | None) -> dict[str, str]:
    """The names in the holder by those without `prefix`; what an AveragedModel counts is no weight."""
    start = "" if not prefix else prefix if prefix.endswith(".") else f"{prefix}."
    counts = averaging_counts(tensors.keys())
    names = {name.removeprefix(start): name for name in tensors if name.startswith(start) and name not in counts}
    if not names:
        behind = f" behind '{start}'" if start else ""
        raise WeightsError(f"{holder}: there are no weights{behind}", hint="leave prefix out" if start else "")
    return names


def _differences(first: Member, other: Member) -> Iterator[Problem]:
    """What keeps two from being averaged: names that one of them lacks, other shapes and other types."""
    missing = [name for name in first.tensors if name not in other.tensors]
    extra = [name for name in other.tensors if name not in first.tensors]
    renamed = "`spdbuild weights import` gives a file the names of an architecture"
    if missing:
        message = f"{other.name} lacks {number(len(missing), 'weight')} of {first.name}: {', '.join(missing)}"
        yield Problem(message, hint="" if extra else renamed)
    if extra:
        message = f"{other.name} has {number(len(extra), 'weight')} that {first.name} lacks: {', '.join(extra)}"
        yield Problem(message, hint=renamed)
    for name, info in first.tensors.items():
        theirs = other.tensors.get(name, info)
        if (theirs.shape, theirs.dtype) != (info.shape, info.dtype):
            yield Problem(f"{other.name}: '{name}' is {_told(theirs)}, and in {first.name} {_told(info)}")


def _told(info: TensorInfo) -> str:
    return f"{shapes_text([info.shape]) or 'a single number'} of {info.dtype}"


def _has_mean(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _wide(member: Member) -> dict[str, Tensor]:
    """Copies of the tensors on the CPU, in double precision where they have a mean; raises WeightsError for NaN."""
    import torch

    wide = {}
    for name, given in member.load().items():
        tensor = given.detach().cpu()
        if _has_mean(tensor):
            tensor = tensor.to(torch.complex128 if tensor.is_complex() else torch.float64, copy=True)
        if bool(tensor.isnan().any()):
            message = f"{member.name}: '{name}' has values that are no numbers, and so would the mean"
            raise WeightsError(message, hint="leave it out of the average")
        wide[name] = tensor
    return wide


def _add(sums: dict[str, Tensor], tensors: Mapping[str, Tensor], first: Member, other: Member) -> None:
    """Add the tensors of another member; raises WeightsError for those that have no mean with the ones before."""
    import torch

    problems = []
    for name, tensor in tensors.items():
        if _has_mean(tensor):
            sums[name] += tensor
            if bool(sums[name].isnan().any()):
                message = f"{other.name}: '{name}' is infinite where one before it is, with the other sign"
                problems.append(Problem(message, hint="leave one of them out of the average"))
        elif name.endswith(COUNTER):
            sums[name] = torch.maximum(sums[name], tensor)
        elif not torch.equal(sums[name], tensor):
            message = (
                f"{other.name}: '{name}' is {_told(other.tensors[name])}, which has no mean, and differs from that"
            )
            problems.append(Problem(f"{message} of {first.name}"))
    if problems:
        raise WeightsError.gather(problems)
