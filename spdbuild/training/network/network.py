"""The network that a recipe names, as a module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from spdbuild.analysis.cost import summarize
from spdbuild.architecture.document import Document
from spdbuild.architecture.line import parse_call
from spdbuild.conversion.convert import convert_by, extending
from spdbuild.errors import Location, PassError, Problem, RecipeError, SpdbuildError, nearest
from spdbuild.loading import Architecture, choose, pass_of, read_document, source_of
from spdbuild.modules import compile_graph
from spdbuild.passes import GraphPass
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.text.source import Source, Value, parse_yaml
from spdbuild.training.recipe import Network
from spdbuild.wording.quantities import shapes_text


@dataclass(frozen=True)
class BuiltNetwork:
    """A module and what is known of it: what it was made from, and its costs for one image."""

    module: nn.Module
    architecture: Architecture
    parameters: int
    macs: int
    input: tuple[int, ...]


def build_network(
    network: Network, classes: int | None = None, size: tuple[int, int] | None = None, *, seed: int | None = None
) -> BuiltNetwork:
    """The module of a recipe's network, rewritten by its passes, with random weights.

    classes: value of the var `classes` where the recipe gives none. size: height and width where it gives no input.
    seed: if given, each layer's weights follow from it and the layer's name, as in `compile_graph`.
    """
    architecture = resolve(network, classes, size)
    graph = architecture.graph
    costs = summarize(graph)
    return BuiltNetwork(compile_graph(graph, seed=seed), architecture, costs.parameters, costs.macs, costs.inputs[0])


def resolve(
    network: Network,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
    *,
    allow_imports: bool = False,
) -> Architecture:
    """The architecture of a recipe's network after its passes; errors in it get their place in the recipe.

    allow_imports: whether Python files that it names may run, if they have not run yet.
    """
    *_, last = _stages(network, classes, size, allow_imports=allow_imports)
    return last


def idle_passes(network: Network) -> list[Problem]:
    """A warning for each pass of a recipe's network that changes nothing in it."""
    graphs = [stage.graph for stage in _stages(network)]
    return [
        Problem(
            f"{call} changes nothing in '{network.architecture}'",
            network.place(f"passes.{index}", "passes"),
            hint="leave the pass out, or name an architecture in which it finds something to change",
            kind="warning",
        )
        for index, call in enumerate(network.passes)
        if graphs[index] == graphs[index + 1]
    ]


def _stages(
    network: Network,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
    *,
    allow_imports: bool = False,
) -> Iterator[Architecture]:
    """The architecture of a recipe's network before its passes, and after each of them."""
    document = _document(network, allow_imports)
    values = dict(network.vars)
    if classes is not None and "classes" in document.vars:
        values.setdefault("classes", classes)
    inputs = _inputs(document, network.input, size)
    try:
        architecture = choose(document, network.variant, values, inputs)
    except SpdbuildError:
        # What is wrong at the architecture's own size, too, is not the fault of the input.
        with network.about("architecture", arguments="vars"):
            choose(document, network.variant, values)
        with network.about("input", "architecture"):
            raise
    yield architecture
    for index, call in enumerate(network.passes):
        written = network.entry(f"passes.{index}", "passes")
        with network.about(f"passes.{index}", "passes"):
            architecture = _after(architecture, _pass(call, written))
        yield architecture


def check_trainable(network: Network) -> None:
    """Refuse passes of a recipe's network, and of its architecture, after which it cannot be trained; PassError.

    network: one that `resolve` accepts.
    """
    with network.about("architecture"):
        for call in _document(network, allow_imports=False).passes:
            _require_for_training(pass_of(call), call.location)
    for index, text in enumerate(network.passes):
        key = f"passes.{index}"
        _require_for_training(_pass(text, network.entry(key)), network.place(key, "passes"))


def _require_for_training(step: GraphPass, place: Location | None) -> None:
    if not step.for_training:
        message = f"{step.name} is not for networks that will be trained"
        hint = "leave it out; `spdbuild fold` and `spdbuild export` make a trained network ready for use"
        raise PassError(message, location=place, hint=hint)


def allow(network: Network, imports: bool) -> None:
    """Import the Python files that a network names; SourceError if they may not run and have not run yet."""
    _document(network, imports)


def declared_input(network: Network) -> tuple[int, ...]:
    """The shape [C, H, W] of the one image that the architecture declares as input; RecipeError if it is not one."""
    shapes = list(_document(network, allow_imports=False).inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 3:
        message = f"'{network.architecture}' does not take one image"
        raise RecipeError(message, location=network.place("architecture"), hint="inputs: {image: [3, 640, 640]}")
    return tuple(shapes[0])


def _document(network: Network, allow_imports: bool) -> Document:
    """The file of the architecture; RecipeError if it lacks the variant that is asked for."""
    with network.about("architecture"):
        document = read_document(source_of(network.architecture), allow_imports=allow_imports)
    listed = ", ".join(document.variants)
    if network.variant is None and listed:
        message = f"{document.model} has the variants {listed}, and none was chosen"
        hint = f"add the key variant: {next(iter(document.variants))}"
        raise RecipeError(message, location=network.place("architecture"), hint=hint)
    if network.variant is not None and network.variant not in document.variants:
        hint = nearest(network.variant, document.variants) or "it has none: leave the key out"
        message = f"{document.model} has no variant '{network.variant}'"
        raise RecipeError(message, location=network.place("variant"), hint=hint)
    return document


def _after(architecture: Architecture, step: GraphPass) -> Architecture:
    """The architecture after a pass: its lines rewritten where possible, else a text that extends it."""
    if isinstance(step, StridedToSpd):
        converted, report = convert_by(step, architecture)
        # It does not extend lines that are only in memory, and a flat text would lose the names.
        if not report.flat or Path(architecture.document.source.name).is_file():
            return converted
    return extending(architecture, step)


def _pass(call: str, written: Value | None) -> GraphPass:
    """The pass of a call; its errors have the place where the call is written, if that is known."""
    if written is None or written.data != call:
        written = parse_yaml(Source("passes", json.dumps(call)))
    return pass_of(parse_call(written))


def _inputs(
    document: Document, given: tuple[int, int, int] | None, size: tuple[int, int] | None
) -> list[tuple[int, ...]] | None:
    """The shape of the one image that the network takes; None leaves the declared ones."""
    if len(document.inputs) != 1 or (given is None and size is None):
        return None
    (declared,) = document.inputs.values()
    return [given] if given is not None else [(declared[0], *(size or ()))]


def check_input(named: Network, made: tuple[int, ...], size: tuple[int, int] | None) -> None:
    """Refuse a network whose input shape is not that of images of `size` with three channels."""
    wanted = (3, *(size or made[1:]))
    if made != wanted:
        ours, theirs = (shapes_text([shape]) for shape in (made, wanted))
        message = f"the network is made for images of {ours}, and the data gives {theirs}"
        hint = "leave 'input' out, or give the data that size" if named.input else "images are read as RGB"
        if named.input and made[0] != 3:
            hint = f"images always have three channels: input: [{', '.join(map(str, wanted))}]"
        raise RecipeError(message, location=named.place("input", "architecture"), hint=hint)
