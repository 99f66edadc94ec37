"""`spdbuild export`: a trained network as an ONNX file or a program of torch.export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, Choice, DependentOption, choice_options, json_option, output_option
from spdbuild.cli.weight_options import weights_option
from spdbuild.errors import InputError
from spdbuild.exporting.limits import OPSETS, TOLERANCES, Precision
from spdbuild.wording.quantities import scaled

if TYPE_CHECKING:
    from spdbuild.exporting.export import Export
    from spdbuild.weights import StoredWeights

_EXAMPLES = """\b
Examples:
  spdbuild export runs/quickstart -o digits.onnx --dynamic
  spdbuild export runs/tiny_objects --input 3,256,256 -o objects.onnx --opset 18
  spdbuild export yolov5_spd --variant n --weights imported.safetensors -o yolov5n_spd.pt2
"""


@click.command("export", epilog=_EXAMPLES)
@click.argument("network", type=ARCHITECTURE)
@choice_options
@weights_option("Weights of an architecture (required); a run has its own.")
@click.option("--to", metavar="FORMAT", help="onnx, pt2 or a plug-in's. [default: by the suffix of FILE, else onnx]")
@output_option("the network")
@click.option("--batch", type=click.IntRange(min=1), help="Images per call; by default 1.")
@click.option("--dynamic", is_flag=True, help="Accept any number of images per call.")
@click.option(
    "--any-size", is_flag=True, help="Accept images of other sizes, in whole cells of the network's coarsest features."
)
@click.option(
    "--opset",
    type=int,
    help=f"ONNX opset version, {OPSETS[0]} to {OPSETS[-1]}. [default: the one that torch prefers]",
)
@click.option("--keep", is_flag=True, help="Leave space-to-depth and norms as they are.")
@click.option("--raw", is_flag=True, help="Let a detector return raw maps, one per level, instead of decoded boxes.")
@click.option("--nms", is_flag=True, help="Let a detector suppress overlapping boxes, as the run's predictions do.")
@click.option(
    "--min-score",
    cls=DependentOption,
    needs="--nms",
    type=click.FloatRange(0, 1),
    help="Least score of a box that is kept.",
)
@click.option(
    "--max-iou",
    cls=DependentOption,
    needs="--nms",
    type=click.FloatRange(0, 1),
    help="Of two boxes that overlap more, the better is kept.",
)
@click.option(
    "--max-detections", cls=DependentOption, needs="--nms", type=click.IntRange(1), help="Boxes of an image at most."
)
@click.option(
    "--class-agnostic",
    cls=DependentOption,
    needs="--nms",
    is_flag=True,
    default=None,
    help="Let boxes of different classes suppress each other, too.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="fp32",
    show_default=True,
    help="Precision of weights and layers; inputs and outputs are fp32 in both.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Largest difference from the network, relative to its largest output. "
    f"[default: {TOLERANCES['fp32']:g}; {TOLERANCES['fp16']:g} with fp16]",
)
@json_option
def command(
    network: str,
    choice: Choice,
    weights: StoredWeights | None,
    to: str | None,
    output: Path | None,
    batch: int | None,
    dynamic: bool,
    any_size: bool,
    opset: int | None,
    keep: bool,
    raw: bool,
    nms: bool,
    min_score: float | None,
    max_iou: float | None,
    max_detections: int | None,
    class_agnostic: bool | None,
    precision: Precision,
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Write a trained network as a file that runs without spdbuild: ONNX, or a program of torch.export (.pt2).

    NETWORK is the folder of a run, or an architecture with --weights. Norms are multiplied into convolutions and
    space-to-depth is folded, as `spdbuild fold` does. A classifier outputs `logits` [N, classes]. A detector outputs
    `detections` [N, boxes, 5 + classes]: x and y of the centre, width and height in pixels of the input, objectness,
    and a probability for each class; overlaps are not suppressed. With --nms they are: it outputs `num_detections` [N],
    `boxes` [N, D, 4] (left, top, right, bottom), `scores` and `labels` [N, D], the best first, filled up with zeros and
    labels of -1 to D = --max-detections. The file also says, as ONNX metadata or in
    spdbuild.json, what the classes are called, how images must be prepared and cut into tiles, which boxes a run keeps,
    and where the weights are from; with --raw also anchors, strides, and how to decode boxes with them.

    With --any-size, a detector's images need not be letterboxed to a square, only to multiples of its stride.

    Without -o, the file goes into the current folder under the name of the run or architecture. It is run on random
    inputs, an ONNX file in ONNX Runtime. If it differs from the network by more than the tolerance, no file is written
    and the exit code is 1.
    """
    if dynamic and batch is not None:
        raise InputError("--batch and --dynamic say both how many images a call has", hint="leave one of them out")
    source = choice.source(network)
    changes = {
        "min_score": min_score,
        "max_iou": max_iou,
        "max_detections": max_detections,
        "class_agnostic": class_agnostic,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    from spdbuild.exporting.export import export
    from spdbuild.exporting.formats import FORMATS

    exported = export(
        source,
        output or Path(_name(network, choice) + FORMATS[to or "onnx"].suffix),
        weights,
        to=to,
        inputs=choice.inputs if source is network else None,
        batch=None if dynamic else batch or 1,
        any_size=any_size,
        opset=opset,
        keep=keep,
        raw=raw,
        nms=given or nms,
        precision=precision,
        tolerance=tolerance,
        allow_imports=choice.allow_imports,
    )
    if as_json:
        print_json(exported.to_dict())
    else:
        _show(exported)


def _name(network: str, choice: Choice) -> str:
    """The default name of the file: that of the run, or of the architecture and its variant."""
    path = Path(network)
    if path.is_dir():
        return path.resolve().name
    return f"{path.stem}_{choice.variant}" if choice.variant else path.stem


def _show(exported: Export) -> None:
    batch = "N" if exported.calls.batch is None else str(exported.calls.batch)
    given = ", ".join(f"{node.name} {_shape(batch, _input(exported, node.shape))}" for node in exported.graph.inputs)
    taken = ", ".join(f"{name} {_shape(batch, shape)}" for name, shape in exported.outputs.items())
    version = f", opset {exported.opset}" if exported.opset else ""
    click.echo(f"{exported.file}: {exported.format}{version}, {scaled(exported.file.stat().st_size, 'B', 1)}")
    click.echo(f"{given} -> {taken}")
    if exported.folding is not None:
        done = exported.folding
        click.echo(f"{len(done.folded)} layers folded, {len(done.fused)} norms fused, {len(done.kept)} kept")
    click.echo(f"parameters  {exported.graph.parameters:,}\nMACs        {scaled(exported.graph.macs)}")
    parity = exported.parity
    click.echo(
        f"same as the network on {parity.runs} random inputs: largest difference {parity.absolute:.1e}, "
        f"relative {parity.relative:.1e}, tolerance {exported.tolerance:g}"
    )


def _input(exported: Export, shape: Sequence[int]) -> Sequence[int | str]:
    if exported.calls.cell is None:
        return shape
    row, column = exported.calls.cell
    return [shape[0], f"{row}*height", f"{column}*width"]


def _shape(batch: str, shape: Sequence[int | str | None]) -> str:
    sizes = ("any" if size is None else str(size) for size in shape)
    return f"[{', '.join((batch, *sizes))}]"
