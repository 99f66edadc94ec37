"""Small networks with weights as general as those of trained ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import spdbuild
from spdbuild import Architecture
from spdbuild.conversion.verification import random_weights
from spdbuild.weights import save_weights

#: Both forms of SPD-Conv: the block of one op, and space_to_depth behind a convolution with its norm.
CLASSIFIER = """\
model: small
inputs: {image: [3, 12, 10]}
layers:
  - stem: conv2d(4, 3)
  - norm: batch_norm()
  - relu()
  - down: spd_conv2d(8, 3, stride=2)
  - deep: conv2d(6, 3, bias=true)
  - depth: space_to_depth(2)
  - narrow: conv2d(8, 1)
  - global_avg_pool()
  - head: linear(5)
"""
DETECTOR = """\
model: finder
inputs: {image: [3, 32, 32]}
layers:
  - fine: conv2d(8, 8, stride=8, padding=0)
  - coarse: conv2d(8, 2, stride=2, padding=0)
  - boxes: detect(2, [[[10, 13], [16, 30]], [[30, 61], [62, 45]]]) <- fine, coarse
"""

Weigh = Callable[[Architecture, Path], Path]


@pytest.fixture(scope="session")
def weigh() -> Weigh:
    """Writes weights of an architecture into a file, with the names of two classes."""

    def weigh(architecture: Architecture, path: Path) -> Path:
        weights = random_weights(architecture.graph)
        single = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        save_weights(path, single, {"classes": json.dumps(["round", "square"])})
        return path

    return weigh


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory, weigh: Weigh) -> Path:
    """A folder with small.yaml, a classifier, and finder.yaml, a detector, and their weights beside them."""
    folder = tmp_path_factory.mktemp("networks")
    for text in (CLASSIFIER, DETECTOR):
        architecture = spdbuild.load(text)
        (folder / f"{architecture.name}.yaml").write_text(text)
        weigh(architecture, folder / f"{architecture.name}.st")
    return folder


@pytest.fixture
def classifier(networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """small.yaml and small.st in the current folder, which is empty otherwise."""
    for name in ("small.yaml", "small.st"):
        shutil.copy(networks / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return Path("small.yaml")
