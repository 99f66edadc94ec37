"""What the whole test-suite shares: where golden files and data are, and folders of runs with numbers made up."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.training.folder.environment import environment
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.recipe import Recipe, load_recipe
from spdbuild.training.report.summary import Summary

# How long an example takes is a matter of what else runs on the machine.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in its own temporary folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of outputs of the published code."""
    folder = Path(os.environ.get("SPDBUILD_GOLDEN", SHARED / "golden"))
    if not folder.is_dir():
        pytest.skip("no golden files: set SPDBUILD_GOLDEN to their folder")
    return folder


@pytest.fixture
def golden_weights(golden: Path) -> Callable[..., dict[str, Tensor]]:
    """The weights behind a golden file by the file's name: each entry drawn by its place in the sorted names.

    untouched: values of the entries that the recipe leaves alone, by the last part of their names; counters are 0.
    """

    def weights(file: str, **untouched: NDArray[np.float32]) -> dict[str, Tensor]:
        found = {}
        for entry in json.loads((golden / f"{file}.keys.json").read_text())["detail"]:
            name = entry["key"].rpartition(".")[2]
            if entry["rule"] == "untouched":
                values = untouched[name] if name in untouched else np.zeros(entry["shape"], entry["dtype"])
            else:
                values = _drawn(entry["rule"], np.random.default_rng(1000 + entry["i"]), entry["shape"])
            found[entry["key"]] = torch.from_numpy(values.astype(entry["dtype"]))
        return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in found.items()}

    return weights


def _drawn(rule: str, generator: np.random.Generator, shape: list[int]) -> NDArray[np.float64]:
    """Numbers of a fill rule as the keys files spell it."""
    if rule == "uniform(0.5,1.5)":
        return generator.uniform(0.5, 1.5, shape)
    factor = {"normal*0.05": 0.05, "normal*sqrt(2/fan_in)": np.sqrt(2 / np.prod(shape[1:]))}[rule]
    return np.asarray(generator.standard_normal(shape) * factor)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of unpacked real data sets: `SPDBUILD_DATA`, else the shared archives unpacked into a cache."""
    if "SPDBUILD_DATA" in os.environ:
        return Path(os.environ["SPDBUILD_DATA"])
    unpack = SHARED / "data" / "unpack"
    if not unpack.is_file():
        pytest.skip("no data sets: set SPDBUILD_DATA to the folder that holds them")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spdbuild-test-data"
    subprocess.run([str(unpack), str(cache)], check=True, capture_output=True, timeout=600)
    return cache


#: A recipe of runs that nobody ran.
RECIPE = 'architecture: cifar_resnet20\npasses: ["strided_to_spd()"]\ndata: {name: digits}\nepochs: 2\n'
#: The machine of these runs.
MACHINE = {
    "versions": {"spdbuild": "0.1.0", "torch": "2.11.0"},
    "processor": "EPYC",
    "processors": 4,
    "threads": 2,
    "gpus": [],
    "plugins": {},
    "spdbuild_commit": "0123456789abcdef",
}


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """`make_run("runs/a", "seed=1", metrics={"top1": 0.9})` writes the folder of a run that ended so, and gives it.

    overrides: of the recipe, whose title is the folder's name. facts: of its environment.
    """

    def make(
        path: str | Path,
        *overrides: str,
        metrics: dict[str, float | None],
        macs: int = 2_000_000,
        seconds: float = 10.0,
        precision: str = "fp32",
        **facts: object,
    ) -> Path:
        folder = RunFolder(Path(path))
        folder.path.mkdir(parents=True)
        recipe = _recipe(f"title={folder.path.name}", *overrides)
        folder.recipe.write_text(recipe.resolved())
        folder.architecture.write_text(f"model: made_up   # {macs} MACs\n")
        command = {"command": ["/usr/bin/spdbuild", "train", "made_up.yaml", f"seed={recipe.seed}"]}
        folder.environment.write_text(json.dumps({**environment(), **MACHINE, **command, **facts}))
        last = recipe.epochs
        folder.write_metrics([_epoch(epoch, epoch / last, metrics) for epoch in range(1, last + 1)])
        Summary(
            title=recipe.title or "",
            architecture="made_up",
            parameters=macs // 10,
            macs=macs,
            input=(3, 8, 8),
            device="cpu",
            precision=precision,
            epochs=last,
            planned_epochs=last,
            steps=10 * last,
            seconds=seconds,
            weights="the last ones",
            monitor="top1",
            best=0.99,
            best_epoch=last,
            metrics=metrics,
            counts={},
        ).write(folder.report)
        return folder.path

    return make


@cache
def _recipe(*overrides: str) -> Recipe:
    """The recipe of made-up runs, which many tests need in the same few forms."""
    return load_recipe(RECIPE, overrides)


def _epoch(epoch: int, share: float, metrics: dict[str, float | None]) -> dict[str, float]:
    """A row of metrics.jsonl in which metrics have reached a share of what they reach."""
    reached = {f"test/{name}": share * value for name, value in metrics.items() if value is not None}
    return {"epoch": epoch, "step": 10 * epoch, "seconds": 5.0, "images_per_second": 100.0 * epoch, **reached}
