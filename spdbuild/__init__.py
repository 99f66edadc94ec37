"""Build, convert and train convolutional networks declaratively.

    arch = spdbuild.load("yolov5", variant="n", vars={"classes": 4})
    arch, report = spdbuild.convert(arch, placement="after", after="act")
    model = spdbuild.build(arch)                  # a torch.nn.Module
    spdbuild.summary(arch).macs
    spdbuild.load_model("runs/quickstart").model  # what a run has trained, ready for images

What the commands compute from networks and runs is one function each here, beside the classes of what they take and
return, and the errors that they raise. Importing the package imports neither torch nor any of its own modules: each
name is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spdbuild.analysis.alignment import Pair
    from spdbuild.analysis.cost import Summary
    from spdbuild.api import build, check, diff, draw, fold, load, summary, verify
    from spdbuild.conversion.convert import convert
    from spdbuild.conversion.fitting import Fit, fit_budget
    from spdbuild.conversion.folding import Folding
    from spdbuild.conversion.foreign.convert import convert_module
    from spdbuild.conversion.foreign.report import ModuleReport
    from spdbuild.conversion.report import ConversionReport
    from spdbuild.conversion.verification import Verification
    from spdbuild.conversion.weights import transfer
    from spdbuild.errors import (
        ArgumentError,
        DataError,
        InputError,
        PassError,
        RecipeError,
        RunError,
        ShapeError,
        SourceError,
        SpdbuildError,
        StoppedError,
        UnknownNameError,
        WeightsError,
    )
    from spdbuild.exporting.export import Export, export
    from spdbuild.exporting.weights import export_weights
    from spdbuild.graph import Graph
    from spdbuild.importing.rows import import_rows
    from spdbuild.importing.torch_module import Imported, import_module
    from spdbuild.importing.weights import import_weights
    from spdbuild.loading import Architecture
    from spdbuild.reporting.report import Report, report
    from spdbuild.sweeping import Sweep, sweep
    from spdbuild.training.recipe import Recipe
    from spdbuild.training.result import Result
    from spdbuild.training.running.run import resume, train
    from spdbuild.training.task import Evaluation, Prediction
    from spdbuild.training.trained.averaging import Averaging, average_weights
    from spdbuild.training.trained.evaluate import EvaluationReport, evaluate
    from spdbuild.training.trained.predict import predict
    from spdbuild.training.trained.stored_run import StoredModel, load_model
    from spdbuild.weights.report import Matching
    from spdbuild.weights.stored import StoredWeights

__version__ = "0.1.0"

_MODULES = {
    "spdbuild.analysis.alignment": ("Pair",),
    "spdbuild.analysis.cost": ("Summary",),
    "spdbuild.api": ("build", "check", "diff", "draw", "fold", "load", "summary", "verify"),
    "spdbuild.conversion.convert": ("convert",),
    "spdbuild.conversion.fitting": ("Fit", "fit_budget"),
    "spdbuild.conversion.folding": ("Folding",),
    "spdbuild.conversion.foreign.convert": ("convert_module",),
    "spdbuild.conversion.foreign.report": ("ModuleReport",),
    "spdbuild.conversion.report": ("ConversionReport",),
    "spdbuild.conversion.verification": ("Verification",),
    "spdbuild.conversion.weights": ("transfer",),
    "spdbuild.errors": (
        "ArgumentError",
        "DataError",
        "InputError",
        "PassError",
        "RecipeError",
        "RunError",
        "ShapeError",
        "SourceError",
        "SpdbuildError",
        "StoppedError",
        "UnknownNameError",
        "WeightsError",
    ),
    "spdbuild.exporting.export": ("Export", "export"),
    "spdbuild.exporting.weights": ("export_weights",),
    "spdbuild.graph": ("Graph",),
    "spdbuild.importing.rows": ("import_rows",),
    "spdbuild.importing.torch_module": ("Imported", "import_module"),
    "spdbuild.importing.weights": ("import_weights",),
    "spdbuild.loading": ("Architecture",),
    "spdbuild.reporting.report": ("Report", "report"),
    "spdbuild.sweeping": ("Sweep", "sweep"),
    "spdbuild.training.trained.averaging": ("Averaging", "average_weights"),
    "spdbuild.training.trained.evaluate": ("EvaluationReport", "evaluate"),
    "spdbuild.training.trained.predict": ("predict",),
    "spdbuild.training.recipe": ("Recipe",),
    "spdbuild.training.result": ("Result",),
    "spdbuild.training.running.run": ("resume", "train"),
    "spdbuild.training.trained.stored_run": ("StoredModel", "load_model"),
    "spdbuild.training.task": ("Evaluation", "Prediction"),
    "spdbuild.weights.report": ("Matching",),
    "spdbuild.weights.stored": ("StoredWeights",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
__all__ = [
    "Architecture",
    "ArgumentError",
    "Averaging",
    "ConversionReport",
    "DataError",
    "Evaluation",
    "EvaluationReport",
    "Export",
    "Fit",
    "Folding",
    "Graph",
    "Imported",
    "InputError",
    "Matching",
    "ModuleReport",
    "Pair",
    "PassError",
    "Prediction",
    "Recipe",
    "RecipeError",
    "Report",
    "Result",
    "RunError",
    "ShapeError",
    "SourceError",
    "SpdbuildError",
    "StoppedError",
    "StoredModel",
    "StoredWeights",
    "Summary",
    "Sweep",
    "UnknownNameError",
    "Verification",
    "WeightsError",
    "average_weights",
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
