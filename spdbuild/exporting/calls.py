"""What a call of an exported file may be given: how many images, and of which sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from spdbuild.analysis.receptive import receptive_fields
from spdbuild.errors import ArgumentError, ShapeError
from spdbuild.graph import Graph, Node
from spdbuild.shape import Shape

#: Batch sizes on which a file for any batch is compared; the first is also the example for tracing.
BATCHES = (2, 1, 3)
RUNS = len(BATCHES)
#: Fewest rows and columns of cells in an image: tracing takes a length of 1 for one that never changes.
CELLS = 2
#: By how many cells the images on which a file for any size is compared exceed the network's own, one pair per run.
_LARGER = ((0, 0), (1, 2), (3, 0))


@dataclass(frozen=True)
class Calls:
    """How many images a call may give, and of which sizes.

    batch: images per call; None: any number.
    cell: height and width of which those of an image are multiples, by CELLS or more; None: only one size.
    """

    batch: int | None
    cell: tuple[int, int] | None = None

    @property
    def axes(self) -> Mapping[int, str]:
        """Names of the axes of an input that may have any length."""
        sizes = {2: "height", 3: "width"} if self.cell else {}
        return {0: "batch"} | sizes if self.batch is None else sizes

    @property
    def lengths(self) -> dict[int, Any]:
        """What torch.export is told about these axes."""
        known: dict[int, Any] = {0: Dim("batch", min=1)} if self.batch is None else {}
        if self.cell:
            known |= {axis: size * Dim(self.axes[axis], min=CELLS) for axis, size in enumerate(self.cell, 2)}
        return known

    @property
    def box_axes(self) -> Mapping[int, str]:
        """Names of the axes of a detector's decoded boxes [N, R, 5 + K] that may have any length."""
        return ({0: "batch"} if self.batch is None else {}) | ({1: "rows"} if self.cell else {})

    def shapes(self, graph: Graph) -> list[list[Shape]]:
        """The shapes of the inputs on which a file is compared, one list per run, without the batch."""
        own = [node.shape for node in graph.inputs]
        if self.cell is None:
            return [own] * RUNS
        ((channels, height, width),) = own
        row, column = self.cell
        return [[Shape(channels, height + down * row, width + right * column)] for down, right in _LARGER]

    def samples(self, graph: Graph, seed: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Inputs to compare on, float32: normal noise, and numbers from 0 to 1 as pixels are; the same for a seed."""
        generator = torch.Generator().manual_seed(seed)
        lengths = BATCHES if self.batch is None else [self.batch] * RUNS
        for run, (length, shapes) in enumerate(zip(lengths, self.shapes(graph), strict=True)):
            draw = torch.rand if run == 1 else torch.randn
            yield tuple(draw(length, *shape, generator=generator) for shape in shapes)


def calls_of(graph: Graph, batch: int | None, any_size: bool) -> Calls:
    """The calls that the network can take; ArgumentError where it cannot take images of any size.

    any_size: whether images may have other sizes than the network's own, in whole cells of its coarsest features.
    """
    if batch is not None and batch < 1:
        raise ArgumentError(f"batch must be at least 1, got {batch}", argument="batch")
    if not any_size:
        return Calls(batch)
    shapes = [node.shape for node in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise ArgumentError(f"{graph.name} does not take one image, so it has no sizes", argument="any_size")
    calls = Calls(batch, _cell(graph))
    _check_own_size(graph, calls)
    for inputs in calls.shapes(graph):
        _check_other_size(graph, inputs)
    return calls


def _cell(graph: Graph) -> tuple[int, int]:
    """Height and width of a cell in pixels: the least common multiple of all strides."""
    fields = receptive_fields(graph).values()
    # What sees the whole image has the stride 0; layers that are finer than the image have a fraction as their stride.
    rows, columns = (lcm(*(field[axis].stride.numerator for field in fields if field[axis].stride)) for axis in (0, 1))
    return rows, columns


def _check_own_size(graph: Graph, calls: Calls) -> None:
    assert calls.cell is not None
    _, *size = graph.inputs[0].shape
    if any(length % cell or length < CELLS * cell for length, cell in zip(size, calls.cell, strict=True)):
        (height, width), (row, column) = size, calls.cell
        message = (
            f"images of any size are multiples of {row}x{column} here, and at least {CELLS * row}x{CELLS * column}; "
            f"{height}x{width} is not"
        )
        raise ArgumentError(message, argument="any_size", hint="choose another size of input")


def _check_other_size(graph: Graph, inputs: list[Shape]) -> None:
    """Refuse a network that has no shapes for these inputs, or would have other weights."""
    try:
        other = graph.with_inputs(inputs)
        why = next((f"{node.name} would have other weights" for node in other if _has_other_weights(node, graph)), "")
    except ShapeError as error:
        why = error.problems[0].message
    if why:
        hint = "what stands before the first linear layer must end in one pixel, as global_avg_pool() does"
        raise ArgumentError(f"{graph.name} takes no images of {inputs[0]}: {why}", argument="any_size", hint=hint)


def _has_other_weights(node: Node, graph: Graph) -> bool:
    return node.parameters != graph[node.name].parameters
