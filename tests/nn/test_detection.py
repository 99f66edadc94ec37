"""The detection head against the published formulas."""

from __future__ import annotations

import subprocess
import sys
from math import exp, log

import numpy as np
import pytest
import torch

from spdbuild.nn import Detect

ANCHORS = [
    [[10, 13], [16, 30], [33, 23]],
    [[30, 61], [62, 45], [59, 119]],
    [[116, 90], [156, 198], [373, 326]],
]


def head(classes: int = 80) -> Detect:
    return Detect([4, 6, 8], classes, ANCHORS, [8, 16, 32])


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def test_anchors_are_kept_in_cells() -> None:
    # REFERENCE: the anchors as published, divided by their stride.
    assert head().anchors[0].tolist() == [[1.25, 1.625], [2, 3.75], [4.125, 2.875]]
    assert head().anchors[2].tolist() == [[3.625, 2.8125], [4.875, 6.1875], [11.65625, 10.1875]]


def test_a_prediction_is_decoded_as_published() -> None:
    maps = [torch.randn(2, 3, 4 * size, 5 * size, 7, dtype=torch.float64) for size in (4, 2, 1)]
    decoded = head(classes=2).decode(maps)
    assert decoded.shape == (2, 3 * (320 + 80 + 20), 7)
    # Level 1, anchor 2, row 5, column 3: behind all of level 0 and two anchors of 8 x 10 cells.
    x, y, w, h, *rest = maps[1][1, 2, 5, 3].tolist()
    expected = [
        (2 * sigmoid(x) - 0.5 + 3) * 16,
        (2 * sigmoid(y) - 0.5 + 5) * 16,
        (2 * sigmoid(w)) ** 2 * 59,
        (2 * sigmoid(h)) ** 2 * 119,
        *map(sigmoid, rest),
    ]
    assert decoded[1, 3 * 320 + 2 * 80 + 5 * 10 + 3].tolist() == pytest.approx(expected, rel=1e-12)


def test_the_channels_of_a_level_are_anchor_then_prediction() -> None:
    module = head(classes=2).eval()
    x = [torch.randn(1, c, s, s) for c, s in ((4, 4), (6, 2), (8, 1))]
    raw = module.levels[0](x[0])
    assert torch.equal(module(*x)[0][0, 1, 2, 3], raw[0, 7:14, 2, 3])


def test_training_and_evaluation_give_the_same_raw_maps() -> None:
    module = head()
    x = [torch.randn(1, c, s, s) for c, s in ((4, 4), (6, 2), (8, 1))]
    for trained, evaluated in zip(module.train()(*x), module.eval()(*x), strict=True):
        assert torch.equal(trained, evaluated)


@pytest.mark.parametrize(("classes", "prior"), [(80, -4.8804), (20, -3.456), (2, -0.521), (1, log(0.6))])
def test_biases_expect_few_objects_and_no_class_in_particular(classes: int, prior: float) -> None:
    module = head(classes)
    before = [conv.bias.detach().clone() for conv in module.levels]
    module.add_priors()
    for conv, bias, objectness in zip(module.levels, before, [-6.6846, -5.2983, -3.9120], strict=True):
        added = (conv.bias.detach() - bias).view(3, 5 + classes).numpy()
        np.testing.assert_allclose(added[:, :4], 0, atol=1e-6)
        np.testing.assert_allclose(added[:, 4], objectness, atol=1e-4)
        np.testing.assert_allclose(added[:, 5:], prior, atol=5e-4)


def test_a_published_decoding_is_reproduced(golden) -> None:  # type: ignore[no-untyped-def]
    file = np.load(golden / "yolov5_spd_n.npz")
    module = head().double()
    decoded = module.decode([torch.from_numpy(file[f"out{level}"]) for level in range(3)])
    np.testing.assert_allclose(decoded.numpy(), file["decoded"], rtol=1e-12)
    np.testing.assert_array_equal(module.anchors.numpy(), file["anchors_buffer"])


def test_half_precision_is_decoded_in_single_precision() -> None:
    maps = [torch.randn(1, 3, 80, 80, 7).half()]
    decoded = head(classes=2).decode(maps)
    assert decoded.dtype == torch.float32
    torch.testing.assert_close(decoded, head(classes=2).decode([maps[0].float()]))


def test_the_head_can_be_exported() -> None:
    x = tuple(torch.randn(2, c, s, s) for c, s in ((4, 4), (6, 2), (8, 1)))
    module = head()
    for exported, eager in zip(torch.export.export(module, x).module()(*x), module(*x), strict=True):
        torch.testing.assert_close(exported, eager)


def test_anchors_in_cells_are_those_of_a_division_of_tensors() -> None:
    anchors = np.random.default_rng(0).uniform(1, 500, (5, 3, 2)).tolist()
    strides = [8, 12, 16, 40, 64]
    expected = torch.tensor(anchors, dtype=torch.float32) / torch.tensor(strides).view(-1, 1, 1)
    assert torch.equal(Detect([1] * 5, 2, anchors, strides).anchors, expected)


def test_a_head_without_numbers_needs_no_compiler() -> None:
    program = (
        "import sys, torch; from spdbuild.nn.detection import Detect\n"
        "with torch.device('meta'): Detect([1], 2, [[[8, 8]]], [8])\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
