"""Options of a command that writes a network's weights besides its architecture."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.options import PATH, Function
from spdbuild.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from spdbuild.conversion.report import ConversionReport
    from spdbuild.loading import Architecture

#: Images that a fit of max pools uses: enough for the few unknowns of each channel.
CALIBRATION_IMAGES = 64


@dataclass(frozen=True)
class WeightsOptions:
    """Which weights to carry over, and how.

    source, output: files to read and to write, or neither. lossy: drop taps that do not fit.
    calibrate: folder of images on which the replacements of max pools are fitted.
    """

    source: Path | None
    output: Path | None
    lossy: bool
    calibrate: Path | None

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
    ) -> tuple[dict[str, Tensor], ConversionReport]:
        """The weights of the converted network, none if none are asked for, and the report with what was fitted.

        architecture: what is converted; its rename tables are tried on a file of third-party names.
        """
        if self.source is None:
            return {}, report
        from spdbuild.conversion.weights import fit_converted_pools, transfer, weights_of

        before = weights_of(report.before, self.source, architecture.renames)
        after = transfer(report, before, lossy=self.lossy)
        if self.calibrate is None:
            return after, report
        from spdbuild.conversion.images import folder_images

        images = folder_images(self.calibrate, report.before, CALIBRATION_IMAGES)
        after, residuals = fit_converted_pools(report, before, after, images)
        return after, replace(report, residuals=residuals)

    def write(self, weights: Mapping[str, Tensor], architecture: Architecture) -> None:
        """Write the weights, if any, with where they came from and what their file says about the data."""
        if self.source is None or self.output is None:
            return
        from spdbuild.weights import file_sha256, open_weights, save_weights
        from spdbuild.weights.facts import Facts

        origin = {"source": self.source.name, "source_sha256": file_sha256(self.source)}
        variant = {"variant": architecture.variant} if architecture.variant else {}
        facts = Facts.of(self.source).texts()
        save_weights(self.output, weights, {"architecture": architecture.name, **variant, **facts, **origin})
        key = open_weights(self.source).taken_from
        click.echo(f"wrote {self.output}" + (f", from {self.source}, under '{key}'" if key else ""), err=True)


def weight_options(function: Function) -> Function:
    """Options that carry weights over; the function gets them as `weights`."""

    @click.option("--weights", "source", type=PATH, metavar="FILE", help="Weights of the architecture, to carry over.")
    @click.option("--weights-out", type=PATH, metavar="FILE", help="Write the converted network's weights to FILE.")
    @click.option("--lossy", is_flag=True, help="Drop taps that do not fit into a smaller kernel.")
    @click.option("--calibrate", type=PATH, metavar="FOLDER", help="Fit replaced max pools on the images in FOLDER.")
    @functools.wraps(function)
    def wrapper(source: Path | None, weights_out: Path | None, lossy: bool, calibrate: Path | None, **rest: Any) -> Any:
        return function(weights=WeightsOptions(source, weights_out, lossy, calibrate), **rest)

    return wrapper
