"""The command line as a function, and a small architecture whose counts one can work out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spdbuild.cli import spdbuild

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
