"""`spdbuild convert torchvision:NAME`: by way of our language where possible, else the module as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.tables import show_table
from spdbuild.errors import InputError
from spdbuild.wording.quantities import change, scaled
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spdbuild.cli.convert_request import Request
    from spdbuild.conversion.foreign.report import ModuleReport
    from spdbuild.loading import Architecture


def convert_library(name: str, request: Request, convert: Callable[[Architecture, Request], None]) -> None:
    """Convert a network of a library, with random weights or those of `--weights`.

    convert: converts an architecture, given the request with the weights under its names.
    Where our language has no op for something, the module itself is converted; then there is no YAML.
    """
    from spdbuild.importing.torch_module import import_module
    from spdbuild.importing.zoo import network
    from spdbuild.system.files import refuse_overwriting
    from spdbuild.weights import StoredWeights, load_into, save_weights
    from spdbuild.weights.facts import Facts

    weights, inputs = request.weights, request.choice.inputs
    weights.check(own=True)
    if inputs is not None and len(inputs) != 1:
        raise InputError(f"{name} takes one image, got {len(inputs)} shapes", hint="give --input once")
    module, example = network(name, inputs[0] if inputs else None)
    origin, facts = {"source": name}, Facts()
    if weights.source is not None:
        refuse_overwriting(weights.output, weights.source.path)
        found = weights.source.found(load_into(module, weights.source))
        origin, facts = dict(found.origin()), Facts.of(found)
        if found.key:
            click.echo(f"{name} has the weights of {weights.source.file}, under '{found.key}'", err=True)
    else:
        click.echo(f"{name} has random weights; --weights gives it others", err=True)
    try:
        imported = import_module(module, example, name, name)
    except InputError as reason:
        _convert_module(name, module, example, request, reason, origin)
        return
    with TemporaryDirectory() as folder:
        if weights.output is not None:
            ours = Path(folder, f"{imported.architecture.name}.safetensors")
            save_weights(ours, imported.weights)
            weights = replace(weights, source=StoredWeights(ours), of_run=facts, origin=origin)
        convert(request.choice.of(imported.architecture.document), replace(request, weights=weights))


def _convert_module(
    name: str, module: nn.Module, example: Tensor, request: Request, reason: InputError, origin: Mapping[str, str]
) -> None:
    """origin: of the weights, for what is written."""
    from spdbuild.conversion.foreign.convert import convert_module
    from spdbuild.weights import save_weights

    why = reason.problems[0].message
    if request.for_architectures:
        option = request.for_architectures[0]
        hint = f"without {option} the module is converted as it is; --weights-out writes its weights"
        raise InputError(f"{name} cannot be written in our language: {why}", hint=hint)
    converted, report = convert_module(module, example, **request.options)
    if request.weights.output is not None:
        save_weights(request.weights.output, converted.state_dict(), {"converted_from": name, **origin})
        click.echo(f"wrote {request.weights.output}", err=True)
    click.echo(f"there is no YAML, because {name} cannot be written in our language: {why}\n", err=True)
    if request.as_json:
        print_json(report.to_dict())
    elif request.markdown:
        click.echo("\n".join([_replaced(report).markdown(), *(f"- {line}" for line in str(report).splitlines())]))
    else:
        if report.replaced:
            show_table(_replaced(report))
        click.echo(str(report))


def _replaced(report: ModuleReport) -> Table:
    from spdbuild.conversion.report_tables import arrow, window_text

    table = Table(("replaced", "op", "kernel", "params", "MACs", "exact"), ("params", "MACs"))
    for entry in report.replaced:
        before, after = entry.before, entry.after
        table.add(
            entry.name,
            entry.kind,
            arrow(
                window_text(before["kernel"], before["stride"]),
                window_text(after["kernel"], after["block"], of_blocks=True),
            ),
            change(before["params"], after["params"]),
            arrow(scaled(before["macs"]), scaled(after["macs"])),
            "yes" if entry.exact else "no",
        )
    return table
