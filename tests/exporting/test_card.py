"""How boxes of a run's network become those of an image, as an exported file tells it."""

from __future__ import annotations

from pathlib import Path

import spdbuild
from spdbuild.exporting.card import card_of
from spdbuild.exporting.network import TrainedNetwork
from spdbuild.training.recipe import load_recipe


def card(networks: Path, *overrides: str) -> dict[str, object]:
    graph, recipe = spdbuild.load(networks / "finder.yaml").graph, load_recipe("tiny_objects", overrides)
    return card_of(TrainedNetwork(graph, networks / "finder.st", recipe), ["detections"])


def test_a_run_that_looks_at_tiles_says_how_and_how_they_are_merged(networks: Path) -> None:
    told = card(networks, "task.tiles={size: 64, overlap: 0.25, whole: true}", "task.evaluation.nms.max_iou=0.6")
    tiles = told["tiles"]
    assert isinstance(tiles, dict)
    assert "at which its tile was cut" in tiles["merging"].pop("rule")
    merging = {"margin": 2.0, "max_covered": 0.5, "max_iou": 0.6}
    assert tiles == {"size": 64, "overlap": 0.25, "whole": True, "merging": merging}


def test_a_run_says_which_boxes_it_counts_and_shows(networks: Path) -> None:
    told = card(networks, "task.seeing.nms.min_score=0.3")
    assert "tiles" not in told
    assert told["selection"] == {
        "evaluation": {
            "min_score": 0.001,
            "max_iou": 0.65,
            "multi_label": True,
            "class_agnostic": False,
            "max_detections": 300,
            "max_candidates": 30_000,
        },
        "predict": {
            "min_score": 0.3,
            "max_iou": 0.45,
            "multi_label": False,
            "class_agnostic": False,
            "max_detections": 1000,
            "max_candidates": 30_000,
        },
    }
