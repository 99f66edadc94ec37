"""ONNX files."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.export import ExportedProgram

from spdbuild import __version__
from spdbuild.errors import ArgumentError, InputError, RunError, first_line
from spdbuild.exporting.formats.format import FORMATS, Axes, Format, Runner
from spdbuild.exporting.limits import OPSETS
from spdbuild.text.json_text import json_text

#: Bytes that a Protocol Buffers file can hold.
_MOST_BYTES = 2**31 - 1
#: The least severe message of ONNX Runtime that is shown: errors.
_ERRORS = 3


@FORMATS.register
@dataclass(frozen=True)
class Onnx(Format):
    """A graph of ONNX ops for ONNX Runtime, OpenVINO, TensorRT, OpenCV and others; one file, with the weights in it.

    opset: ONNX opset version; by default the one that torch prefers.
    """

    suffix: ClassVar[str] = ".onnx"

    opset: int | None = None

    def __post_init__(self) -> None:
        if self.opset is not None and self.opset not in OPSETS:
            message = f"opset must be from {OPSETS[0]} to {OPSETS[-1]}, got {self.opset}"
            raise ArgumentError(message, argument="opset", hint=f"torch writes no ops older than {OPSETS[0]}")

    def require(self) -> None:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            try:
                importlib.import_module(package)
            except ImportError as error:
                message = f"the format onnx needs {package}, which is not installed"
                raise InputError(message, hint='pip install "spdbuild[onnx]"') from error

    def write(self, program: ExportedProgram, path: Path, axes: Axes, card: Mapping[str, Any]) -> int | None:
        _check_size(program)
        model = self._translated(program, axes)
        _tidy(model, axes)
        for name, fact in card.items():
            model.metadata_props.add(key=name, value=fact if isinstance(fact, str) else json_text(fact))
        self._save(model, path)
        return next(int(entry.version) for entry in model.opset_import if entry.domain == "")

    def _translated(self, program: ExportedProgram, axes: Axes) -> Any:
        """The program as an ONNX ModelProto."""
        # Strings rename the axis that the program calls s77.
        names = tuple(dict(axes.free) for _ in axes.inputs) if axes.free else None
        try:
            # Only results go to stdout, but this exporter prints its progress there.
            with redirect_stdout(sys.stderr):
                translated = torch.onnx.export(
                    program,
                    input_names=axes.inputs,
                    output_names=axes.outputs,
                    opset_version=self.opset,
                    dynamic_shapes=names,
                    dynamo=True,
                    custom_translation_table={torch.ops.aten.sort.stable: _stably_sorted},
                    verbose=False,
                )
        except torch.onnx.errors.OnnxExporterError as error:
            message = f"torch cannot write this network as ONNX: {_root(error)}"
            raise RunError(message, hint="write a .pt2 file") from error
        assert translated is not None
        return translated.model_proto

    def _save(self, model: Any, path: Path) -> None:
        import onnx

        onnx.save_model(model, path)
        try:
            onnx.checker.check_model(path, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            message = f"the ONNX file is not valid: {first_line(error)}"
            hint = "write a .pt2 file, or try another input size: pools with ceil=true may have other sizes in ONNX"
            raise RunError(message, hint=hint) from error

    def load(self, path: Path) -> Runner:
        """The file in ONNX Runtime on the CPU."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS
        options.intra_op_num_threads = torch.get_num_threads()
        with _failing("load"):
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [given.name for given in session.get_inputs()]

        def run(inputs: Sequence[Tensor]) -> list[Tensor]:
            arrays = (tensor.numpy() for tensor in inputs)
            with _failing("run"):
                outputs = session.run(None, dict(zip(names, arrays, strict=True)))
            return list(map(torch.from_numpy, outputs))

        return run


def _stably_sorted(values: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """What torch has no translation of: of equal values, ONNX says, TopK gives the one of the lower index first."""
    from onnxscript.onnx_opset import opset18 as op

    return op.TopK(values, op.Shape(values, start=dim, end=dim + 1 or None), axis=dim, largest=descending)


@contextmanager
def _failing(verb: str) -> Iterator[None]:
    """Turn errors of ONNX Runtime into a RunError."""
    try:
        yield
    except Exception as error:  # its exceptions have no common base class
        raise RunError(f"ONNX Runtime does not {verb} the file: {first_line(error)}") from error


def _root(error: BaseException) -> str:
    """What torch's exporter failed at; the errors around it tell how to report errors."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)


def _check_size(program: ExportedProgram) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    if size > _MOST_BYTES:
        message = f"an ONNX file holds {_MOST_BYTES:,} bytes, and the weights have {size:,}"
        raise InputError(message, hint="write a .pt2 file")


def _tidy(model: Any, axes: Axes) -> None:
    """Record who wrote the file, and remove what torch records about its own code; the names of layers stay.

    An axis of an output whose length follows from those of the inputs, which torch calls 63*s89*s99, loses its name.
    """
    model.producer_name, model.producer_version = "spdbuild", __version__
    graph = model.graph
    for output in graph.output:
        for axis in output.type.tensor_type.shape.dim:
            if axis.dim_param and axis.dim_param not in axes.free.values():
                axis.Clear()
    graphs = list(_graphs(graph))
    for found in graphs:
        del found.metadata_props[:]
        for entry in (*found.input, *found.output, *found.value_info, *found.initializer):
            del entry.metadata_props[:]
        for node in found.node:
            layers = [text for text in node.metadata_props if text.key == "namespace"]
            del node.metadata_props[:]
            node.metadata_props.extend(layers)
    # Numbers that torch took out of a loop and then computed with; ONNX Runtime warns of them.
    used = {name for found in graphs for node in found.node for name in node.input}
    used |= {output.name for found in graphs for output in found.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph of an ONNX model, and those in its nodes, such as bodies of loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _graphs(inner)
