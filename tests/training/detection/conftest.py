"""A detector of two levels and a recipe that train in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

DETECTOR = """\
model: tiny_detector
inputs: {image: [3, 64, 64]}
vars:
  classes: 80
  anchors: {fine: [[6, 6], [9, 9], [12, 12]], coarse: [[14, 14], [17, 17], [20, 20]]}
blocks:
  conv(out, stride=1):
    - conv: conv2d(out, 3, stride)
    - norm: batch_norm()
    - silu()
layers:
  - stem: conv(8, 2)
  - fine: conv(12, 2)
  - coarse: conv(16, 2)
  - detect: detect(classes, anchors, strides=[4, 8]) <- fine, coarse
"""

RECIPE = """\
architecture: {architecture}
data: {{name: tiny_objects, images: 24, size: 64}}
task:
  augment: {{close_mosaic: 1}}
  evaluation: {{pad: 0, nms: {{min_score: 0.0001}}}}
loss: {{name: detection, objectness_gain: 100}}
optimizer: {{name: sgd, lr: 0.002, momentum: 0.9}}
schedule: {{name: cosine, warmup_batches: 4, warmup_bias_lr: 0.01, warmup_momentum: 0.8}}
batch: 8
epochs: 3
precision: fp32
workers: 0
ema: {{decay: 0.9, ramp: 10}}
"""


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    path = tmp_path / "detector.yaml"
    path.write_text(DETECTOR)
    return path


@pytest.fixture
def recipe(tmp_path: Path, architecture: Path) -> Path:
    """The file of a recipe: three epochs of three steps on generated objects, the last without mosaics."""
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(architecture=architecture))
    return path
