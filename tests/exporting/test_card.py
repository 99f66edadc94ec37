"""How boxes of a run's network become those of an image, as an exported file tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

import spdbuild
from spdbuild.exporting.card import card_of
from spdbuild.training.recipe import load_recipe
from spdbuild.training.trained.stored_graph import StoredGraph
from spdbuild.weights import StoredWeights


def card(networks: Path, *overrides: str, cell: tuple[int, int] | None = None) -> dict[str, object]:
    graph, recipe = spdbuild.load(networks / "finder.yaml").graph, load_recipe("tiny_objects", overrides)
    return card_of(StoredGraph(graph, recipe=recipe), StoredWeights(networks / "finder.st"), ["detections"], cell)


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


@pytest.mark.parametrize(("cell", "multiple"), [(None, None), ((16, 16), 32), ((64, 64), 64)])
def test_images_of_any_size_are_padded_no_further_than_predict_does(
    networks: Path, cell: tuple[int, int] | None, multiple: int | None
) -> None:
    preprocess = card(networks, cell=cell)["preprocess"]
    assert isinstance(preprocess, list)
    assert preprocess[0]["name"] == "letterbox"
    assert preprocess[0].get("multiple") == multiple


@pytest.mark.parametrize(("how", "fill"), [("crop", None), ("pad", 0)])
def test_a_resize_that_pads_says_with_what(networks: Path, how: str, fill: int | None) -> None:
    recipe = load_recipe("quickstart", [f"data={{name: folder, root: ., size: 12, resize: {how}}}"])
    network = StoredGraph(spdbuild.load(networks / "small.yaml").graph, recipe=recipe)
    told = card_of(network, StoredWeights(networks / "small.st"), [])
    (resize,) = (step for step in told["preprocess"] if step["name"] == "resize")
    assert (resize["how"], resize.get("fill")) == (how, fill)
    assert resize["filter"] == "bilinear, antialiased"


def test_bytes_are_divided_where_the_loader_divides_them(networks: Path) -> None:
    steps = "[{name: resize, size: [40, 24]}, {name: normalize, statistics: cifar10}, {name: center_crop, size: 24}]"
    recipe = load_recipe("quickstart", [f"preprocess={steps}"])
    network = StoredGraph(spdbuild.load(networks / "small.yaml").graph, recipe=recipe)
    told = card_of(network, StoredWeights(networks / "small.st"), [])["preprocess"]
    assert [step["name"] for step in told] == ["resize", "resize", "divide", "normalize", "center_crop"]


def test_a_run_that_merges_views_says_so(networks: Path) -> None:
    assert "tta" not in card(networks)
    told = card(networks, "task.tta={horizontal_flip: true, scales: [1, 1.5]}")
    assert told["tta"] == {"horizontal_flip": True, "vertical_flip": False, "scales": (1.0, 1.5)}
    recipe = load_recipe("quickstart", ["task.tta.vertical_flip=true"])
    network = StoredGraph(spdbuild.load(networks / "small.yaml").graph, recipe=recipe)
    found = card_of(network, StoredWeights(networks / "small.st"), [])
    assert found["tta"] == {"horizontal_flip": False, "vertical_flip": True}
