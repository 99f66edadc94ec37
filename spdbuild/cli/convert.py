"""`spdbuild convert`: every stride and strided pool becomes SPD-Conv."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.budget_options import BudgetOptions, budget_lines, budget_options
from spdbuild.cli.convert_request import Request
from spdbuild.cli.fields import field_options, given
from spdbuild.cli.json_output import print_json
from spdbuild.cli.library_networks import convert_library
from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, json_option, markdown_option, output_option
from spdbuild.cli.output import put_text
from spdbuild.cli.tables import show_table
from spdbuild.cli.weight_options import WeightsOptions, weight_options
from spdbuild.declaring.arguments import call_text
from spdbuild.passes.strided_to_spd import PRESETS, StridedToSpd
from spdbuild.system.files import refuse_overwriting

if TYPE_CHECKING:
    from spdbuild.architecture.document import Document
    from spdbuild.conversion.report import ConversionReport
    from spdbuild.loading import Architecture

_PRESETS = "\n".join(f"  {name}: {call_text(StridedToSpd(**options))}" for name, options in PRESETS.items())
_EXAMPLES = f"""\b
Presets:
{_PRESETS}
\b
Examples:
  spdbuild convert resnet50 -o resnet50_spd.yaml
  spdbuild convert yolov5 --preset released-yolov5 > yolov5_spd.yaml
  spdbuild convert resnet50 --keep 'stem,*.skip' --pool keep --json
  spdbuild convert yolov5 --variant s --budget macs=1.0x --budget params=1.0x -o cheap.yaml
  spdbuild convert resnet50 --weights resnet50.safetensors -o new.yaml --weights-out new.safetensors
  spdbuild convert runs/quickstart/strided -o new.yaml --weights-out new.safetensors
  spdbuild convert torchvision:resnet50 --weights resnet50.pth -o new.yaml --weights-out new.safetensors
"""


@click.command("convert", epilog=_EXAMPLES)
@click.argument("architecture", type=ARCHITECTURE)
@click.option(
    "--preset", type=click.Choice(list(PRESETS)), help="Options of a published placement; others override it."
)
@field_options(StridedToSpd)
@budget_options
@choice_options
@output_option("the converted architecture")
@weight_options
@markdown_option
@json_option
def command(
    architecture: str,
    choice: Choice,
    preset: str | None,
    budget: BudgetOptions,
    output: Path | None,
    weights: WeightsOptions,
    markdown: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Replace every strided layer of an architecture by space-to-depth and layers of stride 1.

    The YAML of the new architecture goes to FILE, or to stdout with the report on stderr. A pattern is the name of a
    layer, or of a block or section with everything in it; * stands for any text.

    ARCHITECTURE is a file, a built-in name, the folder of a run, or torchvision:NAME or timm:NAME. The latter are
    written in our language first; one that cannot be is converted as a torch module, and has no YAML.

    With --weights, or the best weights of a run, the converted network computes what the old one does, except for
    pools that the report marks as not exact: max pools start as a mean, or are fitted with --calibrate, and average
    pools may leave out the padding at the border. All stay with --pool keep.

    With --budget each layer gets the kernel and placement with which the network holds most taps of the strided one
    and stays within the limits; --kernel and --kernels are then upper limits.
    """
    from spdbuild.importing.zoo import is_named

    request = Request(choice, preset, budget, output, weights, markdown, as_json, given(options))
    if is_named(architecture):
        convert_library(architecture, request, _convert)
        return
    if Path(architecture).is_dir():
        _convert_run(architecture, request)
        return
    weights.check()
    _convert(_chosen(choice, choice.document(architecture)), request)


def _convert_run(run: str, request: Request) -> None:
    """Convert the network that a run has trained, with its best weights where weights are asked for."""
    weights = request.weights
    weights.check(own=True)
    architecture, source, facts = request.choice.run(run, weights.source)
    if weights.output is not None:
        weights = replace(weights, source=source, of_run=facts)
    _convert(architecture, replace(request, weights=weights))


def _chosen(choice: Choice, document: Document) -> Architecture:
    """The architecture that the options choose; of a file with variants the first if they choose none."""
    if document.variants and choice.variant is None:
        choice = replace(choice, variant=next(iter(document.variants)))
        click.echo(f"the file keeps all variants; the numbers are those of variant {choice.variant}", err=True)
    return choice.of(document)


def _convert(architecture: Architecture, request: Request) -> None:
    """Convert an architecture, write what is asked for, and show what was done."""
    from spdbuild.conversion.convert import convert_by

    output = request.output
    refuse_overwriting(output, Path(architecture.document.source.name))
    source = request.weights.source
    refuse_overwriting(request.weights.output, None if source is None else source.path)
    fit = request.budget.fit(architecture, request.preset, request.options)
    converted, report = convert_by(fit.step, fit.architecture, output)
    tensors, found, report = request.weights.transferred(report, fit.architecture)
    request.weights.write(tensors, found, converted)
    if output is not None or not request.as_json:
        put_text(converted.text, output)
    if request.as_json:
        print_json(report.to_dict() | (fit.to_dict() if fit.spendings else {}))
    elif request.markdown:
        from spdbuild.conversion.report_tables import markdown

        click.echo(markdown(report), nl=False, err=output is None)
    else:
        _show(report, budget_lines(fit), err=output is None)


def _show(report: ConversionReport, budget: Iterable[str], *, err: bool) -> None:
    """The report, with the lines on its budget."""
    from spdbuild.conversion.report_tables import kept_table, replaced_table

    if report.replaced:
        show_table(replaced_table(report), err=err)
    if report.kept:
        click.echo("" if report.replaced else "nothing was replaced", err=err)
        show_table(kept_table(report), err=err)
    for layer, residual in report.residuals.items():
        click.echo(f"{layer} is fitted: {residual:.3g} of the variance of its output is left", err=err)
    if report.flat:
        click.echo(
            f"\nthe file has one line a layer, under flat names, because the old lines could not be rewritten: "
            f"{report.overlay}; nor does it extend the old file: {report.flat}",
            err=err,
        )
    elif report.overlay:
        click.echo(
            f"\nthe file extends the old one, because its lines could not be rewritten: {report.overlay}", err=err
        )
    click.echo("\n".join(["", str(report), *budget]), err=err)
