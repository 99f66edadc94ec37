"""Which predictions learn which boxes, against the published code and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spdbuild.losses.assignment import Assignment, assign

SIZES = [32, 16, 8]
ANCHORS = torch.tensor([[[1.0, 1.0], [9.0, 9.0]]])


def cells(matches: Assignment) -> list[tuple[int, int]]:
    return list(zip(matches.column.tolist(), matches.row.tolist(), strict=True))


def target(x: float, y: float, size: float = 0.1) -> Tensor:
    return torch.tensor([[0, 3, x, y, size, size]], dtype=torch.float64)


@pytest.mark.parametrize("level", range(3))
def test_matches_are_those_of_the_published_code_in_their_order(
    golden: Path, published_anchors: Tensor, level: int
) -> None:
    expected = np.load(golden / "fixture_loss.npz")
    targets = torch.from_numpy(expected["targets"])
    found = assign(targets, published_anchors[level], SIZES[level], SIZES[level])
    indices = torch.stack((found.image, found.anchor, found.row, found.column, found.label), dim=1)
    np.testing.assert_array_equal(indices, expected[f"l{level}_b_a_gj_gi_cls"])
    np.testing.assert_array_equal(found.boxes_cxcywh, expected[f"l{level}_tbox"])
    np.testing.assert_array_equal(found.anchor_sizes, expected[f"l{level}_anchor"])


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.52, 0.52, [(5, 5), (4, 5), (5, 4)]),
        (0.58, 0.58, [(5, 5), (6, 5), (5, 6)]),
        (0.55, 0.55, [(5, 5)]),
        (0.02, 0.98, [(0, 9)]),
        (1.0, 1.0, [(9, 9), (9, 9), (9, 9)]),
    ],
    ids=["left and up", "right and down", "middle", "corner", "on the border"],
)
def test_a_box_goes_to_its_cell_and_the_nearest_neighbours(x: float, y: float, expected: list[tuple[int, int]]) -> None:
    assert cells(assign(target(x, y), ANCHORS[0, :1], rows=10, columns=10)) == expected


def test_the_target_is_relative_to_the_clamped_cell() -> None:
    matches = assign(target(1.0, 1.0), ANCHORS[0, :1], rows=10, columns=10)
    assert matches.boxes_cxcywh[0].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(("size", "anchors"), [(0.1, [0]), (0.3, [0, 1]), (0.9, [1]), (4.0, []), (0.0, [])])
def test_a_box_matches_the_anchors_of_similar_sides(size: float, anchors: list[int]) -> None:
    matches = assign(target(0.55, 0.55, size), ANCHORS[0], rows=10, columns=10)
    assert matches.anchor.tolist() == anchors


@pytest.mark.parametrize(("side", "matches"), [(4.0, 0), (3.99, 1), (0.25, 0), (0.26, 1)])
def test_a_side_of_exactly_the_ratio_is_too_far_from_the_anchor(side: float, matches: int) -> None:
    # REFERENCE.md: max(r, 1 / r) < 4. The middle of a cell has no nearer neighbour, and so a single match.
    assert len(assign(target(0.55, 0.55, side / 10), ANCHORS[0, :1], rows=10, columns=10)) == matches


def test_rows_and_columns_may_differ() -> None:
    matches = assign(target(0.55, 0.55), torch.tensor([[2.0, 0.5]]), rows=10, columns=30)
    assert cells(matches)[0] == (16, 5)
    torch.testing.assert_close(matches.boxes_cxcywh[0, 2:].tolist(), [3.0, 1.0])


def test_another_type_or_grid_has_its_own_numbers() -> None:
    for rows, dtype in ((10, torch.float32), (10, torch.float64), (20, torch.float64), (10, torch.float32)):
        matches = assign(target(0.52, 0.52).to(dtype), ANCHORS[0, :1] * rows / 10, rows=rows, columns=rows)
        assert matches.boxes_cxcywh.dtype == dtype
        torch.testing.assert_close(matches.boxes_cxcywh[0, 2:].tolist(), [rows / 10] * 2)


def test_no_targets_give_no_matches() -> None:
    matches = assign(torch.zeros(0, 6), ANCHORS[0], rows=10, columns=10)
    assert len(matches) == 0
    assert matches.boxes_cxcywh.shape == (0, 4)
