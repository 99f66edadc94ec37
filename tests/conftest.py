"""What the whole test-suite shares: where golden files and data are."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARED = Path(__file__).parents[2] / "shared"


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
