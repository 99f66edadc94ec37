"""Options that say which weights a command reads, and those of one that carries weights over."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.options import PATH, SAFETENSORS, DependentOption, Function
from spdbuild.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from spdbuild.conversion.report import ConversionReport
    from spdbuild.loading import Architecture
    from spdbuild.weights import StoredWeights
    from spdbuild.weights.facts import Facts

#: Images that a fit of max pools uses: enough for the few unknowns of each channel.
CALIBRATION_IMAGES = 64

KEY_HELP = (
    "Key of a checkpoint under which the weights are, such as model, or ema.model for one within ema; by default "
    "averaged ones come first."
)
PREFIX_HELP = "What stands before the names, such as online.; by default that with which most fit."


def weights_option(what: str, side: str = "") -> Callable[[Function], Function]:
    """`--weights FILE`, `--key` and `--prefix`; the function gets a StoredWeights, or None, as `weights`.

    what: the help of the first. side: what ends the names of all, such as "-a".
    """
    option = f"--weights{side}"
    file, key, prefix = (f"{name}{side}".replace("-", "_") for name in ("weights", "key", "prefix"))

    def decorate(function: Function) -> Function:
        @click.option(option, file, type=PATH, metavar="FILE", help=what)
        @click.option(f"--key{side}", key, cls=DependentOption, needs=option, help=KEY_HELP)
        @click.option(f"--prefix{side}", prefix, cls=DependentOption, needs=option, help=PREFIX_HELP)
        @functools.wraps(function)
        def wrapper(**given: Any) -> Any:
            from spdbuild.weights import StoredWeights

            path, *chosen = (given.pop(name) for name in (file, key, prefix))
            return function(**given, **{file: None if path is None else StoredWeights(path, *chosen)})

        return wrapper

    return decorate


@dataclass(frozen=True)
class WeightsOptions:
    """Which weights to carry over, and how.

    source, output: what to read, and the file to write, or neither. lossy: drop taps that do not fit.
    calibrate: folder of images on which the replacements of max pools are fitted.
    of_run: the facts in a run's own weights, for what the file of others given in their place does not say.
    origin: where the weights are from, if `source` was only made of what the user gave.
    """

    source: StoredWeights | None
    output: Path | None
    lossy: bool
    calibrate: Path | None
    of_run: Facts | None = None
    origin: Mapping[str, str] | None = None

    def check(self, *, own: bool = False) -> None:
        """Refuse options that would do nothing, or for which there are no weights.

        own: whether the network has weights to carry over where `--weights` is not given.
        """
        if self.source is not None and self.output is None:
            raise InputError("--weights-out is missing", hint="give both --weights and --weights-out, or neither")
        if self.source is None and self.output is not None and not own:
            raise InputError("--weights is missing", hint="give both --weights and --weights-out, or neither")
        if self.output is None and (self.calibrate is not None or self.lossy):
            raise InputError(f"--calibrate and --lossy need {'' if own else '--weights and '}--weights-out")

    def transferred(
        self, report: ConversionReport, architecture: Architecture
    ) -> tuple[dict[str, Tensor], StoredWeights | None, ConversionReport]:
        """The weights of the converted network, where in the file the old ones were, and the report on what was fitted.

        Without weights that are asked for there are none, and nowhere.

        architecture: what is converted; its rename tables are tried on a file of third-party names.
        """
        if self.source is None:
            return {}, None, report
        from spdbuild.conversion.weights import fit_converted_pools, transfer
        from spdbuild.training.trained.stored_graph import StoredGraph

        before, found = StoredGraph(report.before, self.source, architecture.renames).find_weights()
        assert before is not None
        after = transfer(report, before, lossy=self.lossy)
        if self.calibrate is None:
            return after, found, report
        from spdbuild.conversion.images import folder_images

        images = folder_images(self.calibrate, report.before, CALIBRATION_IMAGES)
        after, residuals = fit_converted_pools(report, before, after, images)
        return after, found, replace(report, residuals=residuals)

    def write(self, weights: Mapping[str, Tensor], found: StoredWeights | None, architecture: Architecture) -> None:
        """Write the weights, if any, with where they were found and what their file or run says about the data."""
        if found is None or self.output is None:
            return
        from spdbuild.weights import save_weights
        from spdbuild.weights.facts import Facts

        variant = {"variant": architecture.variant} if architecture.variant else {}
        facts = Facts.of(found).or_else(self.of_run or Facts()).texts()
        origin = found.origin() if self.origin is None else self.origin
        save_weights(self.output, weights, {"architecture": architecture.name, **variant, **facts, **origin})
        where = f", from {found.file}, under '{found.key}'" if found.key else ""
        click.echo(f"wrote {self.output}{where}", err=True)


def weight_options(function: Function) -> Function:
    """Options that carry weights over; the function gets them as `weights`."""

    @weights_option("Weights of the architecture, to carry over.")
    @click.option(
        "--weights-out", type=SAFETENSORS, metavar="FILE", help="Write the converted network's weights to FILE."
    )
    @click.option("--lossy", is_flag=True, help="Drop taps that do not fit into a smaller kernel.")
    @click.option("--calibrate", type=PATH, metavar="FOLDER", help="Fit replaced max pools on the images in FOLDER.")
    @functools.wraps(function)
    def wrapper(
        weights: StoredWeights | None, weights_out: Path | None, lossy: bool, calibrate: Path | None, **rest: Any
    ) -> Any:
        return function(weights=WeightsOptions(weights, weights_out, lossy, calibrate), **rest)

    return wrapper
