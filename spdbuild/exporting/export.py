"""Export a trained network to a file for deployment that computes the same."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from spdbuild.analysis.watching import ALONE
from spdbuild.conversion.folding import Folding, fold
from spdbuild.errors import ArgumentError, RunError, first_line
from spdbuild.exporting.calls import Calls, calls_of
from spdbuild.exporting.card import card_of
from spdbuild.exporting.formats import Axes, Format, Runner, format_for, runner_of
from spdbuild.exporting.limits import TOLERANCES, Precision
from spdbuild.exporting.network import (
    DETECTIONS,
    decoded_head,
    head_of_graph,
    module_of,
    output_names,
    trained_weights,
)
from spdbuild.exporting.parity import Parity, compare
from spdbuild.exporting.suppression import SUPPRESSED, Suppressing, Suppression, nms_options, suppressed_shapes
from spdbuild.exporting.suppression_parity import crowded, require_own_boxes, require_same_selection
from spdbuild.graph import Graph
from spdbuild.loading import Architecture
from spdbuild.metrics.nms import NmsOptions
from spdbuild.nn.detection import BOX_AND_OBJECT, Detect
from spdbuild.shape import Shape
from spdbuild.system.files import is_text, write_whole
from spdbuild.training.trained.stored_graph import StoredGraph, stored_graph
from spdbuild.weights.stored import Weights, weights_from


@dataclass(frozen=True)
class Export:
    """An exported file, and what is known about it.

    graph: the network in the file. folding: how it was folded; None if it was not.
    calls: what a call may be given. outputs: shape of each without the batch, by name; None for sizes that depend on
        that of the image.
    opset: ONNX opset version; None in other formats. card: the facts in the file.
    """

    file: Path
    format: str
    graph: Graph
    folding: Folding | None
    calls: Calls
    outputs: Mapping[str, tuple[int | None, ...]]
    opset: int | None
    card: Mapping[str, Any]
    parity: Parity
    tolerance: float

    def __repr__(self) -> str:
        return f"Export({self.file}: {self.format}, relative difference {self.parity.relative:.1e})"

    def to_dict(self) -> dict[str, Any]:
        """The document that `spdbuild export --json` prints."""
        shapes = [list(node.shape) for node in self.graph.inputs]
        return {
            "file": str(self.file),
            "format": self.format,
            "opset": self.opset,
            "input": shapes[0] if len(shapes) == 1 else shapes,
            "outputs": {name: list(shape) for name, shape in self.outputs.items()},
            "batch": self.calls.batch,
            "dynamic": self.calls.batch is None,
            "cell": self.calls.cell and list(self.calls.cell),
            "params": self.graph.parameters,
            "macs": self.graph.macs,
            "folded": self.folding.folded if self.folding else [],
            "fused": self.folding.fused if self.folding else [],
            "max_abs_difference": self.parity.absolute,
            "max_rel_difference": self.parity.relative,
            "tolerance": self.tolerance,
            "runs": self.parity.runs,
            "metadata": dict(self.card),
        }


def export(
    network: Architecture | Graph | str | Path,
    output: str | Path,
    weights: Weights | None = None,
    *,
    to: str | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
    batch: int | None = 1,
    any_size: bool = False,
    opset: int | None = None,
    keep: bool = False,
    raw: bool = False,
    nms: bool | Mapping[str, Any] = False,
    precision: Precision = "fp32",
    tolerance: float | None = None,
    allow_imports: bool = False,
) -> Export:
    """Write a trained network as a file that runs without spdbuild, after checking that it computes the same.

    A classifier gives `logits` [N, K]. A detector gives `detections` [N, boxes, 5 + K]: centre x, centre y, width and
    height in pixels of the input, objectness, and the probability of each class; overlapping boxes are not suppressed.
    With `nms` it gives the boxes that are left, best first: `num_detections` [N], `boxes` [N, D, 4] (left, top, right,
    bottom), `scores` [N, D] and `labels` [N, D], filled up with zeros, and labels of -1, to D = `max_detections`.

    network: the folder of a run, an architecture, its name or path. weights: a file of its weights or a state_dict,
        with the network's names or those of a rename table of its architecture; a run has its own.
    to: "onnx", "pt2" or a plug-in's format; by default the one that the suffix of `output` means.
    inputs: shapes (C, H, W) in place of the network's own. batch: images per call; None: any number.
    any_size: let images have any height and width in whole cells of the network's coarsest features, 2 or more, such as
        64, 96, 128 for a stride of 32.
    opset: ONNX opset version. keep: leave space-to-depth and norms as they are, instead of folding them.
    raw: let a detector return one map of raw predictions for each level, as in training.
    nms: let a detector suppress overlapping boxes; True: as the run's predictions do, or what differs from that, such
        as {"min_score": 0.1, "max_detections": 100}.
    precision: of weights and layers, "fp32" or "fp16"; inputs and outputs are float32 in both, and boxes are decoded in
        float32.
    tolerance: greatest difference from the network before folding, max |a - b| / max |a|; by default
        1e-4, and 1e-2 for fp16, both from the network in fp32.
    allow_imports: whether Python files that the architecture names under `imports:` may run.
    Raises RunError, and leaves `output` as it was, if they differ by more; InputError for invalid arguments.
    """
    if precision not in TOLERANCES:
        message = f"precision must be one of {', '.join(TOLERANCES)}, got {precision!r}"
        raise ArgumentError(message, argument="precision")
    path = Path(output)
    if not is_text(path):
        message = f"the name of {path} is no text in UTF-8, and no library reads such a file"
        raise ArgumentError(message, argument="output", hint="give another")
    kind = format_for(path, to, opset)
    kind.require()
    trained = stored_graph(network, weights_from(weights), inputs, allow_imports=allow_imports)
    calls = calls_of(trained.graph, batch, any_size)
    allowed = TOLERANCES[precision] if tolerance is None else tolerance
    head = decoded_head(trained.graph, raw)
    options = nms_options(trained, raw, nms)
    # What torch.export and the exporter to ONNX keep while they trace belongs to the process, not to the thread.
    with ALONE, warnings.catch_warnings():
        # Of torchvision, about its own code.
        warnings.filterwarnings("ignore", "`create_unbacked_symint` is deprecated", FutureWarning)
        job = _Job(path, kind, trained, calls, head, options, keep, precision, allowed)
        return write_whole(path, job.fill)


class _Job:
    """One export: the network as it was and as it is written."""

    def __init__(
        self,
        path: Path,
        kind: Format,
        network: StoredGraph,
        calls: Calls,
        head: str | None,
        nms: NmsOptions | None,
        keep: bool,
        precision: Precision,
        tolerance: float,
    ) -> None:
        self.path, self.kind, self.calls, self.nms, self.tolerance = path, kind, calls, nms, tolerance
        weights, source = trained_weights(network)
        self.reference = module_of(network.graph, weights, head)
        self.folding = None if keep else fold(network.graph, weights)
        self.graph = network.graph
        if self.folding is not None:
            assert self.folding.weights is not None
            self.graph, weights = self.folding.graph, dict(self.folding.weights)
        self.model = module_of(self.graph, weights, head, precision)
        names = output_names(network.graph, head)
        self.axes = Axes(tuple(node.name for node in self.graph.inputs), names, calls.axes)
        told = SUPPRESSED if nms else names
        self.card = card_of(network, source, told, calls.cell, None if head else self._raw_head(), precision, nms)

    def fill(self, beside: Path) -> Export:
        """Fill the file and compare what it computes; RunError if that is not the same."""
        example = next(self.calls.samples(self.graph))
        program = _traced(self.model, self.graph.name, example, self.calls.lengths)
        opset = self.kind.write(program, beside, self.axes, self.card)
        file = self.kind.load(beside)
        with torch.no_grad():
            samples = self.calls.samples(self.graph)
            parity = compare(runner_of(self.reference), file, samples, self._parts)
        if not parity.within(self.tolerance):
            raise RunError(
                f"{self.path} was not written: it differs from the network by {parity.relative:.1e} "
                f"(absolute {parity.absolute:.1e}), more than {self.tolerance:g}"
            )
        if self.nms is not None:
            opset = self._suppress(beside, file, self.nms)
        return Export(
            self.path,
            self.kind.name,
            self.graph,
            self.folding,
            self.calls,
            self._output_shapes() if self.nms is None else suppressed_shapes(self.nms),
            opset,
            self.card,
            parity,
            self.tolerance,
        )

    def _suppress(self, beside: Path, decoded: Runner, options: NmsOptions) -> int | None:
        """Fill the file with the network and the suppression behind it, and return the version of its ops.

        decoded: the network alone, as a file.
        """
        suppression, name = Suppression(options, loop=self.calls.batch is None), self.graph.name
        images = list(self.calls.samples(self.graph))
        with torch.no_grad():
            rows = [decoded(given)[0] for given in images]
            # Without a loop, what is done to each of several images is the same.
            crowds = [
                crowded((len(found) if suppression.loop else 1, *found.shape[1:]), options, seed)
                for seed, found in enumerate(rows)
            ]
            free = self.calls.box_axes
            lengths = {axis: Dim(name, min=1) for axis, name in free.items()}
            alone = _traced(suppression, name, (crowds[0],), lengths)
            self.kind.write(alone, beside, Axes((DETECTIONS,), SUPPRESSED, free), self.card)
            file = self.kind.load(beside)
            for crowd in (*crowds, torch.zeros_like(crowds[0])):
                require_same_selection(file, crowd, options, str(self.path))
            whole = _traced(Suppressing(self.model, suppression), name, images[0], self.calls.lengths)
            opset = self.kind.write(whole, beside, replace(self.axes, outputs=SUPPRESSED), self.card)
            file = self.kind.load(beside)
            for given, found in zip(images, rows, strict=True):
                require_own_boxes(file(given), found, options, self.tolerance, str(self.path))
        return opset

    def _raw_head(self) -> Detect | None:
        name = head_of_graph(self.graph)
        module = self.reference.get_submodule(name) if name else None
        return module if isinstance(module, Detect) else None

    def _parts(self, output: Tensor) -> Sequence[Tensor]:
        """An output as tensors whose numbers are of one kind: pixels, or probabilities."""
        if self.axes.outputs != (DETECTIONS,):
            return [output]
        return [output[..., : BOX_AND_OBJECT - 1], output[..., BOX_AND_OBJECT - 1 :]]

    def _output_shapes(self) -> dict[str, tuple[int | None, ...]]:
        """The shape of each output, by name; None for sizes that depend on that of the image."""
        found = [self._shapes_for(inputs) for inputs in dict.fromkeys(map(tuple, self.calls.shapes(self.graph)))]
        return {
            name: tuple(size if len({size, *others}) == 1 else None for size, *others in zip(*shapes, strict=True))
            for name, *shapes in zip(self.axes.outputs, *found, strict=True)
        }

    def _shapes_for(self, inputs: Sequence[Shape]) -> list[tuple[int, ...]]:
        graph = self.graph.with_inputs(inputs)
        shapes = [tuple(graph.shape_of(output)) for output in graph.outputs]
        if self.axes.outputs != (DETECTIONS,):
            return shapes
        return [(sum(anchors * ny * nx for anchors, ny, nx, _ in shapes), shapes[0][-1])]


def _traced(model: nn.Module, name: str, example: tuple[Tensor, ...], lengths: Mapping[int, Any]) -> ExportedProgram:
    """The module as a program of torch.export, without example inputs and stack traces.

    lengths: of the axes of all inputs that may have others than those of the example.
    """
    shapes = tuple(dict(lengths) for _ in example) if lengths else None
    try:
        program = torch.export.export(model, example, dynamic_shapes=shapes)
    except RuntimeError as error:
        # A user's own op may do what a program cannot express.
        raise RunError(f"torch.export cannot follow {name}: {first_line(error)}") from error
    # They would make up most of the file of a small network.
    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program
