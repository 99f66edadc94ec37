"""The state of a run in one file: everything that an exact resume needs, as tensors and plain values."""

from __future__ import annotations

import random
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from torch import Tensor

from spdbuild.declaring.arguments import construct, type_hints
from spdbuild.errors import ArgumentError, RunError, WeightsError
from spdbuild.system.files import unwrapped_os_error
from spdbuild.training.folder.writing import save_whole
from spdbuild.weights.torch_zip import TorchZip

#: Between the seeds of two processes of a run: more than between the seeds of runs that are compared.
_APART = 1_000_003

#: Changes when an older file can no longer be read.
VERSION = 3

#: Far above what a state has: a value for each tensor, number and text, and the values of each epoch.
MAX_VALUES = 5_000_000

#: What a damaged file makes Python and torch raise.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    BadZipFile,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    UnpicklingError,
    ValueError,
)

#: What each row of a position has, whatever the task.
_ROW = {"epoch": 0, "step": 0, "lr": 0.0, "seconds": 0.0, "images_per_second": 0.0}

#: Devices with a global random number generator of their own, by their type.
_DRAWING_DEVICES = ("cuda", "mps")

#: Held by the run that draws from the global random number generators of this process.
_GENERATORS = threading.Lock()

_UPGRADE = (
    "pip install --upgrade spdbuild, to the version that the run's environment.json says or a later one; "
    "with it the same command resumes the run exactly"
)


@dataclass(frozen=True)
class State:
    """The parts of a state: tensors, numbers, strings, lists and mappings.

    position: how far the run has got. data: facts about what it is trained and evaluated on.
    ema: weights of the moving average and the number of its updates; None without one.
    counts, generators: one entry per process. recipe: that of the run, resolved.
    """

    position: dict[str, Any]
    data: dict[str, Any]
    model: dict[str, Any]
    ema: dict[str, Any] | None
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    counts: tuple[dict[str, Any], ...]
    generators: tuple[dict[str, Any], ...]
    recipe: str


@dataclass
class Position:
    """How far a run has got.

    epoch: completed epochs. batch: completed batches of the next epoch. step: optimizer updates in total.
    sums: loss components, each summed over the images that this process has seen in the epoch. images: the number of
    those images.
    best: best value of the task's metric so far. best_epoch: when it was reached, counted from 1; 0: not yet.
    seconds: training time so far. rows: the metrics of every epoch.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    images: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def begun(self) -> int:
        """How many epochs have begun, the completed ones included."""
        return self.epoch + (self.batch > 0)

    def plain(self) -> dict[str, Any]:
        """The fields that are the same on every process."""
        return {name: value for name, value in asdict(self).items() if name not in ("sums", "images")}

    def counts(self) -> dict[str, Any]:
        """The fields that differ between processes."""
        return {"sums": {name: value.cpu() for name, value in self.sums.items()}, "images": self.images}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Position:
        """The position that `plain` describes; raises ValueError if it describes none."""
        known = cls().plain()
        if not _has(plain, known) or plain.keys() != known.keys() or not all(map(_is_row, plain["rows"])):
            raise ValueError("this is no position in a run")
        return cls(**plain)

    def take(self, counts: dict[str, Any], device: torch.device) -> None:
        """Set the fields that differ between processes from `counts`."""
        self.sums = {name: value.to(device) for name, value in counts["sums"].items()}
        self.images = int(counts["images"])


def alike(value: Any, example: Any) -> bool:
    """Whether a value has the type of an example; an integer may stand for a float."""
    return type(value) is type(example) or (type(value) is int and isinstance(example, float))


def _has(values: dict[str, Any], examples: dict[str, Any]) -> bool:
    return all(alike(values.get(name), example) for name, example in examples.items())


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and _has(row, _ROW) and all(alike(value, 0.0) for value in row.values())


def save_state(path: Path, state: State) -> None:
    """Write a state; the old file stays until the new one is complete."""
    save_whole(path, lambda beside: _fill(beside, {"version": VERSION, **vars(state)}))


def _fill(path: Path, state: dict[str, Any]) -> None:
    # When torch opens the file itself, it does not report why it could not write.
    with path.open("wb") as file, unwrapped_os_error():
        torch.save(state, file)


def load_state(path: Path) -> State:
    """Read a state on the CPU, checking the checksums of its parts; nothing in the file is executed.

    Raises WeightsError.
    """
    try:
        _check_sums(path)
        _check_values(TorchZip(path).read_object())
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file", hint="the run has not saved a state yet") from None
    except PermissionError:
        hint = f"check its permissions: ls -l {shlex.quote(str(path))}"
        raise WeightsError(f"{path}: the file may not be read", hint=hint) from None
    except (*DAMAGE, WeightsError):
        raise WeightsError(f"{path}: this is no state of a run that can be read", hint=_new_run(path)) from None
    if not isinstance(state, dict) or "position" not in state:
        raise WeightsError(f"{path}: this is no state of a run", hint=_new_run(path))
    version = state.get("version")
    if not isinstance(version, int):
        raise damaged(path, "'version'")
    if version > VERSION:
        message = f"{path}: a newer spdbuild wrote the state: it has version {version}, and this one reads {VERSION}"
        raise WeightsError(message, hint=_UPGRADE)
    if version != VERSION:
        message = f"{path}: the state has version {version}, and this spdbuild reads {VERSION}"
        raise WeightsError(message, hint=_new_run(path))
    try:
        return construct(State, {name: state.get(name) for name in type_hints(State)})
    except ArgumentError as error:
        raise damaged(path, f"'{error.argument}'") from None


def _check_sums(path: Path) -> None:
    # `torch.load` does not look at the checksums that `torch.save` writes.
    with ZipFile(path) as archive:
        if archive.testzip() is not None:
            raise BadZipFile


def _check_values(saved: Any) -> None:
    """Refuse lists in lists that share their parts, through which whoever goes would never come to an end."""
    ahead, count = [saved], 1
    while ahead:
        value = ahead.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        count += len(inside)
        if count > MAX_VALUES:
            raise UnpicklingError
        ahead.extend(inside)


def damaged(path: Path, part: str) -> WeightsError:
    """The error for a readable state file of which `part` is not what `save_state` has written."""
    return WeightsError(f"{path}: this is no state of a run: {part} is missing or damaged", hint=_new_run(path))


def _new_run(state: Path) -> str:
    """What to do where a run cannot go on from its state file."""
    last = state.parent.parent / "weights" / "last.safetensors"
    return f"start a new run from the weights of this one: weights={last}"


def generator_states(device: torch.device) -> dict[str, Any]:
    """The states of the global random number generators of this process."""
    version, words, gauss = random.getstate()
    name, keys, index, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [name, np.asarray(keys).tolist(), int(index), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    if device.type in _DRAWING_DEVICES:
        states[device.type] = torch.get_device_module(device.type).get_rng_state(device)
    return states


def restore_generators(states: dict[str, Any], device: torch.device) -> None:
    """Set the global generators of this process to `states`."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, index, has_gauss, cached = states["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), index, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if device.type in _DRAWING_DEVICES and device.type in states:
        torch.get_device_module(device.type).set_rng_state(states[device.type], device)


@contextmanager
def generators_kept(device: torch.device) -> Iterator[None]:
    """Reserve the global generators of this process for a run, and restore them when the context ends.

    Raises RunError if another run has them.
    """
    if not _GENERATORS.acquire(blocking=False):
        message = "another run trains in this process, and both would draw from the same random number generators"
        raise RunError(message, hint="wait for it, or train each run in a process of its own")
    try:
        before = generator_states(device)
        try:
            yield
        finally:
            restore_generators(before, device)
    finally:
        _GENERATORS.release()


def seed_generators(seed: int, rank: int) -> None:
    """Seed the global generators of this process, those of its device included."""
    own = seed + rank * _APART
    random.seed(own)
    np.random.seed(own % 2**32)
    torch.manual_seed(own)
