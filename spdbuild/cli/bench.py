"""`spdbuild bench`: the inference time of networks on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from spdbuild.analysis.benchmark import Benchmark, Conditions, Precision, benchmark
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, json_option
from spdbuild.cli.tables import show_table
from spdbuild.errors import InputError
from spdbuild.shape import Shape
from spdbuild.wording.quantities import shapes_text
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.graph import Graph

_EXAMPLES = """\b
Examples:
  spdbuild bench resnet50 --batch 16 --channels-last
  spdbuild bench yolov5 --variant n --against yolov5_spd --size 320
"""


@click.command("bench", epilog=_EXAMPLES)
@click.argument("architecture", type=ARCHITECTURE)
@click.option("--against", type=ARCHITECTURE, help="Time this architecture too, in turns, and give the ratio.")
@choice_options
@click.option(
    "--batch", type=click.IntRange(min=1), default=Conditions.batch, show_default=True, help="Images per call."
)
@click.option("--size", type=click.IntRange(min=1), help="Height and width of the images.")
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default=Conditions.precision,
    show_default=True,
    help="Precision of weights and images.",
)
@click.option("--channels-last", is_flag=True, help="Store channels as the last axis.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps; auto takes a CUDA GPU.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the CPU; by default torch's setting.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=Conditions.seconds,
    show_default=True,
    help="Time to measure for.",
)
@json_option
def command(
    architecture: str,
    against: str | None,
    choice: Choice,
    batch: int,
    size: int | None,
    precision: Precision,
    channels_last: bool,
    device: str,
    threads: int | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Time forward passes of an architecture with random weights, after a warm-up.

    ARCHITECTURE is a path, a built-in name, or the folder of a run. The options that select a network apply to both
    architectures. If the batch does not fit into memory, half of it is tried.
    """
    given = [name for name in (architecture, against) if name]
    graphs = _told_apart([_sized(choice.load(name).graph, size) for name in given], given)
    from spdbuild.training.device import choose_device

    chosen = str(choose_device(device))
    found = benchmark(graphs, Conditions(batch, precision, channels_last, chosen, threads, seconds))
    if found.conditions.batch < batch:
        click.echo(f"the memory does not hold {batch} images; the batch is {found.conditions.batch}", err=True)
    if as_json:
        print_json(found.to_dict())
    else:
        _show(found)


def _told_apart(graphs: list[Graph], given: list[str]) -> list[Graph]:
    """The graphs, under what was typed for them where their own names are the same, as those of two runs may be."""
    if len({graph.name for graph in graphs}) == len(graphs) or len(set(given)) < len(given):
        return graphs
    graphs = [graph.copy() for graph in graphs]
    for graph, name in zip(graphs, given, strict=True):
        graph.name = name
    return graphs


def _sized(graph: Graph, size: int | None) -> Graph:
    if size is None:
        return graph
    if any(len(node.shape) != 3 for node in graph.inputs):
        raise InputError(f"--size is for images, and {graph.name} has other inputs", hint="give --input instead")
    return graph.with_inputs(Shape(node.shape.channels, size, size) for node in graph.inputs)


def _show(found: Benchmark) -> None:
    numbers = ("median ms", "p90 ms", "min ms", "images/s")
    table = Table(("network", "input", *numbers), numbers)
    for number, (graph, times) in enumerate(zip(found.graphs, found.times, strict=True)):
        milliseconds = (f"{1000 * seconds:.2f}" for seconds in (times.median, times.p90, times.least))
        images = f"{found.images_per_second(number):,.1f}"
        table.add(graph.name, shapes_text(node.shape for node in graph.inputs), *milliseconds, images)
    show_table(table)
    click.echo(f"\n{_conditions(found)}")
    if found.ratio is not None:
        click.echo(f"{found.graphs[1].name} takes x{found.ratio:.3f} the time of {found.graphs[0].name}")


def _conditions(found: Benchmark) -> str:
    conditions = found.conditions
    layout = ["channels last"] if conditions.channels_last else []
    threads = f"{conditions.device} ({conditions.threads} thread{'s' if conditions.threads != 1 else ''})"
    parts = [threads, conditions.precision, *layout, f"batch {conditions.batch}"]
    return f"{', '.join(parts)}; {len(found.times[0].seconds)} calls each, in turns, after a warm-up"
