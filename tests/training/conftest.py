"""A network and a recipe that train in a fraction of a second."""

from __future__ import annotations

from pathlib import Path

import pytest

ARCHITECTURE = """\
model: tiny
inputs: {image: [3, 8, 8]}
vars: {classes: 10}
layers:
  - stem: conv2d(8, 3)
  - norm: batch_norm()
  - relu()
  - down: conv2d(16, 3, stride=2)
  - norm2: batch_norm()
  - relu()
  - global_avg_pool()
  - dropout(0.1)
  - head: linear(classes)
"""

RECIPE = """\
architecture: {architecture}
data: {{name: digits}}
augment: [{{name: random_crop, padding: 1}}]
batch: 128
epochs: 3
precision: fp32
workers: 0
ema: {{decay: 0.99, ramp: 10}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a recipe: three epochs of twelve steps on handwritten digits."""
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    architecture = tmp_path / "tiny.yaml"
    architecture.write_text(ARCHITECTURE)
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(architecture=architecture))
    return path
