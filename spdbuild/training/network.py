"""The network that a recipe names, as a module."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from spdbuild import builtin
from spdbuild.api import build, summary
from spdbuild.architecture.document import Document
from spdbuild.architecture.line import parse_call
from spdbuild.conversion.convert import convert
from spdbuild.errors import PassError, RecipeError
from spdbuild.loading import Architecture, load, pass_of
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.source import Source, parse_yaml

if TYPE_CHECKING:
    from spdbuild.training.recipe import Network


@dataclass(frozen=True)
class BuiltNetwork:
    """A module and what is known of it: the YAML text it was made from, and its costs for one image."""

    module: nn.Module
    text: str
    parameters: int
    macs: int
    input: tuple[int, ...]


def build_network(network: Network, classes: int | None = None, size: tuple[int, int] | None = None) -> BuiltNetwork:
    """The module of a recipe's network, rewritten by its passes, with its first weights.

    classes: value of the var `classes` where the recipe gives none. size: height and width where it gives no input.
    """
    architecture = resolve(network, classes, size)
    costs = summary(architecture)
    module = build(architecture, network.weights)
    return BuiltNetwork(module, standalone_text(architecture), costs.params, costs.macs, costs.inputs[0])


def resolve(network: Network, classes: int | None = None, size: tuple[int, int] | None = None) -> Architecture:
    """The architecture of a recipe's network, behind its passes."""
    document = load(network.architecture, network.variant, network.vars, allow_imports=True).document
    values = dict(network.vars)
    if classes is not None and "classes" in document.vars:
        values.setdefault("classes", classes)
    inputs = _inputs(document, network.input, size)
    architecture = load(network.architecture, network.variant, values, inputs, allow_imports=True)
    for call in network.passes:
        architecture, _ = convert(architecture, **asdict(_pass(call)))
    return architecture


def declared_input(network: Network) -> tuple[int, ...]:
    """The shape [C, H, W] of the image that the architecture itself says it takes; RecipeError if that is not one."""
    inputs = load(network.architecture, network.variant, network.vars, allow_imports=True).document.inputs
    shapes = list(inputs.values())
    if len(shapes) != 1 or len(shapes[0]) != 3:
        raise RecipeError(f"'{network.architecture}' does not take one image", hint="inputs: {image: [3, 640, 640]}")
    return tuple(shapes[0])


def standalone_text(architecture: Architecture) -> str:
    """The text of an architecture, which still finds what it extends when it lies in another folder."""
    text = architecture.text
    extended = re.search(r"^extends:\s*(\S+)\s*$", text, re.MULTILINE)
    if extended is None or extended[1] in builtin.listed("architectures"):
        return text
    path = (Path(architecture.document.source.name).parent / extended[1].strip("\"'")).resolve()
    return text.replace(extended[0], f"extends: {json.dumps(str(path))}\n")


def _pass(call: str) -> StridedToSpd:
    value = parse_yaml(Source("passes", json.dumps(call)))
    made = pass_of(parse_call(value))
    if not isinstance(made, StridedToSpd):
        raise PassError(f"{made.name} is not for networks that will be trained", hint="passes: [strided_to_spd()]")
    return made


def _inputs(
    document: Document, given: tuple[int, int, int] | None, size: tuple[int, int] | None
) -> list[tuple[int, ...]] | None:
    """The shape of the one image that the network takes; None leaves the declared ones."""
    if len(document.inputs) != 1 or (given is None and size is None):
        return None
    (declared,) = document.inputs.values()
    return [given] if given is not None else [(declared[0], *(size or ()))]
