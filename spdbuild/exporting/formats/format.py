"""What every format of exported files says about itself, and which one a file name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.export import ExportedProgram

from spdbuild.declaring.registry import Registry
from spdbuild.errors import ArgumentError, InputError

#: A loaded file: the network's inputs -> its outputs, in order.
Runner = Callable[[Sequence[Tensor]], list[Tensor]]


def runner_of(model: nn.Module) -> Runner:
    """The module in the form in which a loaded file is run."""

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        outputs = model(*inputs)
        return [outputs] if isinstance(outputs, Tensor) else list(outputs)

    return run


@dataclass(frozen=True)
class Axes:
    """Names of a program's inputs and outputs, and of those axes of an input that may have any length."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    free: Mapping[int, str]


@dataclass(frozen=True)
class Format:
    """Base of all formats, which are frozen dataclasses.

    `export` makes one without arguments, or with `opset` if it has a field of that name and the caller gave one.
    """

    name: ClassVar[str] = ""
    #: How names of its files end.
    suffix: ClassVar[str] = ""

    def require(self) -> None:
        """Raise InputError, with what to install, where a package is missing."""

    def write(self, program: ExportedProgram, path: Path, axes: Axes, card: Mapping[str, Any]) -> int | None:
        """Fill the file, with the facts of `card` in it; return the version of its ops, if the format has any.

        Raises RunError for a network that the format cannot hold.
        """
        raise NotImplementedError

    def load(self, path: Path) -> Runner:
        """The file, loaded as its users will load it; RunError if it does not load."""
        raise NotImplementedError


FORMATS: Registry[Format] = Registry("format", "spdbuild.exporting.formats", "spdbuild.formats")


def format_for(path: Path, to: str | None = None, opset: int | None = None) -> Format:
    """The format called `to`, or the one that the suffix of the file means.

    Raises UnknownNameError, and ArgumentError where name and file, or format and `opset`, do not go together.
    """
    chosen = _by_suffix(path) if to is None else FORMATS[to]
    if path.suffix != chosen.suffix:
        message = f"a file of the format {chosen.name} ends in {chosen.suffix}, got {path}"
        hint = f"write to {path.with_suffix(chosen.suffix)}, or leave `to` out"
        raise ArgumentError(message, argument="to", hint=hint)
    if opset is None:
        return chosen()
    if "opset" not in {field.name for field in fields(chosen)}:
        message = f"opset is a version of ONNX's ops, and {path} is of the format {chosen.name}"
        raise ArgumentError(message, argument="opset", hint="leave opset out")
    return chosen(opset=opset)  # type: ignore[call-arg]  # the field was looked for


def _by_suffix(path: Path) -> type[Format]:
    suffixes = {cls.suffix: cls for _, cls in FORMATS.items()}
    if path.suffix not in suffixes:
        raise InputError(f"{path}: the name says no format", hint=f"let it end in {' or '.join(suffixes)}")
    return suffixes[path.suffix]
