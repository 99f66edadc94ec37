"""Build, convert and train convolutional networks declaratively.

    arch = spdbuild.load("yolov5", variant="n", vars={"classes": 4})
    arch, report = spdbuild.convert(arch, placement="after", after="act")
    model = spdbuild.build(arch)                  # a torch.nn.Module
    spdbuild.summary(arch).macs
    spdbuild.load_model("runs/quickstart").model  # what a run has trained, ready for images

What the commands compute from networks and runs is one function each here. Importing the package imports neither torch
nor any of its own modules: each name is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spdbuild.api import build, check, diff, draw, fold, load, summary
    from spdbuild.conversion.convert import convert
    from spdbuild.conversion.fitting import fit_budget
    from spdbuild.conversion.foreign.convert import convert_module
    from spdbuild.conversion.verification import verify
    from spdbuild.conversion.weights import transfer
    from spdbuild.errors import SpdbuildError
    from spdbuild.exporting.export import export
    from spdbuild.exporting.weights import export_weights
    from spdbuild.importing.rows import import_rows
    from spdbuild.importing.torch_module import import_module
    from spdbuild.importing.weights import import_weights
    from spdbuild.loading import Architecture
    from spdbuild.reporting.report import report
    from spdbuild.sweeping import sweep
    from spdbuild.training.evaluate import evaluate
    from spdbuild.training.predict import predict
    from spdbuild.training.run import resume, train
    from spdbuild.training.stored_run import load_model

__version__ = "0.1.0"

_HOMES = {
    "Architecture": "spdbuild.loading",
    "SpdbuildError": "spdbuild.errors",
    "build": "spdbuild.api",
    "check": "spdbuild.api",
    "convert": "spdbuild.conversion.convert",
    "convert_module": "spdbuild.conversion.foreign.convert",
    "diff": "spdbuild.api",
    "draw": "spdbuild.api",
    "evaluate": "spdbuild.training.evaluate",
    "export": "spdbuild.exporting.export",
    "export_weights": "spdbuild.exporting.weights",
    "fit_budget": "spdbuild.conversion.fitting",
    "fold": "spdbuild.api",
    "import_module": "spdbuild.importing.torch_module",
    "import_rows": "spdbuild.importing.rows",
    "import_weights": "spdbuild.importing.weights",
    "load": "spdbuild.api",
    "load_model": "spdbuild.training.stored_run",
    "predict": "spdbuild.training.predict",
    "report": "spdbuild.reporting.report",
    "resume": "spdbuild.training.run",
    "summary": "spdbuild.api",
    "sweep": "spdbuild.sweeping",
    "train": "spdbuild.training.run",
    "transfer": "spdbuild.conversion.weights",
    "verify": "spdbuild.conversion.verification",
}
__all__ = [
    "Architecture",
    "SpdbuildError",
    "build",
    "check",
    "convert",
    "convert_module",
    "diff",
    "draw",
    "evaluate",
    "export",
    "export_weights",
    "fit_budget",
    "fold",
    "import_module",
    "import_rows",
    "import_weights",
    "load",
    "load_model",
    "predict",
    "report",
    "resume",
    "summary",
    "sweep",
    "train",
    "transfer",
    "verify",
]


if not TYPE_CHECKING:  # A type checker would accept any name because of it.

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'spdbuild' has no attribute '{name}'")
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
