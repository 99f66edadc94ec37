"""The command line as a function, a small architecture whose counts one can work out by hand, and small data sets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild.cli import spdbuild
from spdbuild.ops import OPS

from .data_commands import run_raising

#: Parameters: 3*4*9 + 2*4 + 4*8*9 + 2*8 + 8*10 + 10 = 510; MACs: 108*64 + 288*16 + 80 = 11,600.
TINY = """\
model: tiny
inputs: {image: [3, 8, 8]}
blocks:
  conv_norm(out, stride=1):
    - conv: conv2d(out, 3, stride)
    - norm: batch_norm()
layers:
  - stem: conv_norm(4)
  - relu()
  - down: conv_norm(8, stride=2)   # keeps its comment
  - pool: max_pool(2, stride=2)
  - global_avg_pool()
  - head: linear(10)
"""

DIGITS = """\
model: digits
inputs: {image: [3, 8, 8]}
layers:
  - stem: conv2d(4, 3, stride=2)
  - norm: batch_norm()
  - relu()
  - global_avg_pool()
  - head: linear(10)
"""

#: A network with an op of its own, and the file of that op.
OWN = """\
model: own
imports: [own_ops.py]
inputs: {image: [3, 8, 8]}
layers:
  - stem: conv2d(4, 3, stride=2)
  - quarter_for_tests()
"""
OWN_OPS = '''\
from dataclasses import dataclass

from spdbuild.ops.activation import Activation
from spdbuild.ops.op import OPS


@OPS.register
@dataclass(frozen=True)
class QuarterForTests(Activation):
    """Divide by four.

    Source: none.
    """

    def module(self, x):
        from torch import nn

        return nn.Identity()
'''

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """`run("summary", "resnet50")` -> what the command printed, and its exit code."""

    def run(*arguments: str | Path, **options: object) -> Result:
        return CliRunner().invoke(spdbuild, list(map(str, arguments)), prog_name="spdbuild", **options)

    return run


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file tiny.yaml in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = Path("tiny.yaml")
    path.write_text(TINY)
    return path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file own.yaml in the current folder, which imports own_ops.py beside it; and an empty folder `sub`."""
    monkeypatch.chdir(tmp_path)
    # An op of a test would be among those that the messages of other tests list.
    monkeypatch.setattr(OPS, "_classes", dict(OPS.items()))
    for name in [name for name in sys.modules if name.startswith("spdbuild_imported_own_ops")]:
        monkeypatch.delitem(sys.modules, name)
    Path("own_ops.py").write_text(OWN_OPS)
    Path("sub").mkdir()
    path = Path("own.yaml")
    path.write_text(OWN)
    return path


@pytest.fixture
def trained(tiny: Path) -> Path:
    """The folder of a run that has trained the network of tiny.yaml, as far as commands that look at networks care."""
    from spdbuild.api import build
    from spdbuild.weights import save_weights

    folder = Path("runs", "tiny")
    (folder / "weights").mkdir(parents=True)
    (folder / "architecture.yaml").write_text(TINY)
    (folder / "recipe.yaml").write_text("architecture: tiny.yaml\ndata: {name: digits}\nepochs: 1\n")
    save_weights(folder / "weights" / "best.safetensors", build(str(tiny)).state_dict())
    return folder


@pytest.fixture
def digits() -> str:
    """An architecture for images of 8x8 pixels, whose stem has a stride."""
    return DIGITS


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes, three images each to train on and one to test; every pixel of an image has one value."""
    for value, name in enumerate(
        (
            "train/cat/0",
            "train/cat/1",
            "train/cat/2",
            "train/dog/0",
            "train/dog/1",
            "train/dog/2",
            "test/cat/0",
            "test/dog/0",
        )
    ):
        file = tmp_path / "pets" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), 10 * value, np.uint8)).save(file)
    return tmp_path / "pets"


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """A dataset YAML with eight generated images, converted by the command itself."""
    result = run_raising(
        "convert", "tiny_objects", "images=8", "size=64", "largest=12", "--to", "yolo", "-o", tmp_path / "yolo"
    )
    assert result.exit_code == 0, result.output
    return tmp_path / "yolo" / "data.yaml"
