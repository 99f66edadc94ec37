"""Recipes for COCO that are the published ones; a published checkpoint that is evaluated and used as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner

import spdbuild
from spdbuild import builtin
from spdbuild.cli import spdbuild as command_line
from spdbuild.data.detection.yolo_txt import COCO_CATEGORY_IDS
from spdbuild.training.recipe import load_recipe
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.training.trained.predict import predict

#: What the published training of n does, by REFERENCE.md: 4.1.1 to 4.1.7 and 4.1.11, and 5.1 for NMS.
PUBLISHED: dict[str, Any] = {
    "input": [3, 640, 640],
    "batch": 128,
    "nominal_batch": 64,
    "epochs": 300,
    "patience": 100,
    "sampling": None,
    "drop_last": False,
    "clip": None,
    "weights": None,
    "init": {},
    "optimizer": {
        "name": "sgd",
        "lr": 0.01,
        "momentum": 0.937,
        "dampening": 0.0,
        "nesterov": True,
        "weight_decay": 0.0005,
        "decay_norm_and_bias": False,
        "scales": {},
    },
    "schedule": {
        "name": "cosine",
        "final": 0.1,
        "per": "epoch",
        "warmup_epochs": 3.0,
        "warmup_batches": 1000,
        "warmup_start": 0.0,
        "warmup_bias_lr": 0.1,
        "warmup_momentum": 0.8,
        "warmup_accumulate": True,
    },
    "ema": {"decay": 0.9999, "ramp": 2000.0},
    "loss": {
        "name": "detection",
        "box_gain": 0.05,
        "objectness_gain": 1.0,
        "class_gain": 0.5,
        "class_positive_weight": 1.0,
        "objectness_positive_weight": 1.0,
        "label_smoothing": 0.0,
        "focal_gamma": 0.0,
        "anchor_ratio": 4.0,
        "iou_share": 1.0,
        "balance": None,
    },
}
PUBLISHED_AUGMENTATION: dict[str, Any] = {
    "hue": 0.015,
    "saturation": 0.7,
    "value": 0.4,
    "degrees": 0.0,
    "translate": 0.1,
    "scale": 0.5,
    "shear": 0.0,
    "perspective": 0.0,
    "flip_vertical": 0.0,
    "flip_horizontal": 0.5,
    "mosaic": 1.0,
    "mixup": 0.0,
    "copy_paste": 0.0,
    "multi_scale": 0.0,
    "close_mosaic": 0,
    "partners": "any",
}
PUBLISHED_NMS = {
    "min_score": 0.001,
    "max_iou": 0.65,
    "multi_label": True,
    "class_agnostic": False,
    "max_detections": 300,
    "max_candidates": 30_000,
}

#: Where the others differ from n; l as the column "scratch-high" of v6.0. An entry replaces keys of a section.
DIFFERENCES: dict[str, dict[str, Any]] = {
    "n": {},
    "s": {},
    "m": {"batch": 32, "epochs": 200},
    "l": {
        "batch": 20,
        "epochs": 200,
        "schedule": {"final": 0.2},
        "loss": {"class_gain": 0.3, "objectness_gain": 0.7},
        "augment": {"scale": 0.9, "mixup": 0.1, "copy_paste": 0.1},
    },
}
#: Batches of a step behind the warm-up, and the weight decay for them.
STEPS = {"n": (1, 1e-3), "s": (1, 1e-3), "m": (2, 5e-4), "l": (3, 4.6875e-4)}


@pytest.mark.parametrize("variant", DIFFERENCES)
def test_the_recipes_for_coco_are_the_published_ones(variant: str) -> None:
    recipe = load_recipe(f"coco_yolov5_spd_{variant}")
    resolved, differences = yaml.safe_load(recipe.resolved()), DIFFERENCES[variant]
    assert (recipe.architecture, recipe.variant) == ("yolov5_spd", variant)
    for key, value in PUBLISHED.items():
        changed = differences.get(key, {} if isinstance(value, dict) else value)
        assert resolved[key] == ({**value, **changed} if isinstance(value, dict) else changed), key
    task = resolved["task"]
    assert task["augment"] == {**PUBLISHED_AUGMENTATION, **differences.get("augment", {}), "backend": "auto"}
    assert task["anchors"] == {"check": True, "min_recall": 0.98}
    assert task["evaluation"]["nms"] == PUBLISHED_NMS
    assert (task["evaluation"]["rectangular"], task["evaluation"]["pad"], task["monitor"]) == (True, 0.5, "fitness")
    batches, decay = recipe.accumulation(1000).batches(3000), recipe.scaled_optimizer().weight_decay
    assert (batches, decay) == pytest.approx(STEPS[variant])


def test_the_heads_of_the_recipes_for_coco_give_the_published_evaluation() -> None:
    """REFERENCE.md 5.1: images one by one in half precision, with the recipe's NMS at 0.65."""
    for variant in DIFFERENCES:
        text = builtin.listed("recipes")[f"coco_yolov5_spd_{variant}"].read_text()
        (options,) = re.findall(rf"spdbuild eval runs/coco_yolov5_spd_{variant} (.*)", text)
        recipe = load_recipe(f"coco_yolov5_spd_{variant}", options.split())
        assert (recipe.test_batch, recipe.precision) == (1, "fp16")


def test_the_parameter_groups_of_yolov5_spd_n_are_the_published_ones() -> None:
    """REFERENCE.md 4.1.3: every norm's weight, every other weight, every bias; only the second group decays."""
    model = spdbuild.build(spdbuild.load("yolov5_spd", variant="n"), device="meta")
    groups = load_recipe("coco_yolov5_spd_n").scaled_optimizer().groups(model)
    found = {group["role"]: (len(group["params"]), sum(p.numel() for p in group["params"])) for group in groups}
    assert found == {"norm": (57, 4_752), "weight": (60, 2_245_888), "bias": (60, 5_517)}
    assert {group["role"]: group["weight_decay"] for group in groups} == {"weight": 1e-3, "norm": 0.0, "bias": 0.0}


def test_the_ids_of_cocos_categories_are_all_80_of_the_published_map() -> None:
    """REFERENCE.md 5.1."""
    ranges = [(1, 11), (13, 25), (27, 28), (31, 44), (46, 65), (67, 67), (70, 70), (72, 82), (84, 90)]
    published = tuple(number for first, last in ranges for number in range(first, last + 1))
    assert published == COCO_CATEGORY_IDS


def test_the_published_schedule_at_chosen_steps() -> None:
    recipe = load_recipe("coco_yolov5_spd_n")
    steps = 925  # 118,287 images in batches of 128

    def rates(step: int) -> tuple[float, float, float]:
        found = recipe.schedule.rates(step, steps, 300, 0.01, 0.937)
        return found.lr, found.bias_lr, found.momentum

    # The warm-up is three epochs, 2775 steps; then the factors of the published table.
    assert rates(0) == pytest.approx((0.0, 0.1, 0.8))
    factor = 0.9999753262144805
    half = 1387 / 2775
    assert rates(1387) == pytest.approx(
        (half * 0.01 * factor, 0.1 + half * (0.01 * factor - 0.1), 0.8 + half * 0.137), rel=1e-9
    )
    for epoch, factor in ((150, 0.55), (299, 0.10002467378551949)):
        for step in (epoch * steps, epoch * steps + steps - 1):
            assert rates(step) == pytest.approx((0.01 * factor, 0.01 * factor, 0.937))


@pytest.mark.slow
def test_a_published_checkpoint_runs_through_eval_and_predict(
    golden: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "imported.safetensors"
    checkpoint = str(golden / "yolov5_spd_n.reference.pt")
    arguments = ["weights", "import", checkpoint, "--arch", "yolov5_spd", "--variant", "n", "-o", str(weights)]
    assert CliRunner().invoke(command_line, arguments).exit_code == 0
    options = ["input=[3, 160, 160]", "test_batch=16", "workers=0", "precision=fp32"]
    root = data_folder / "coco-mini"
    report = evaluate("coco_yolov5_spd_n", [*options, f"data.root={root}"], weights=weights, output=tmp_path / "out")
    assert report.evaluation.counts["images"] == 80
    assert report.stored.parameters == 2_256_157
    # Its weights are noise that is sure of everything, so every image has its 300 detections, under COCO's own ids.
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(found) == report.evaluation.counts["detections"] == 80 * 300
    assert max(entry["category_id"] for entry in found) > 80
    monkeypatch.chdir(tmp_path)
    picture = next((root / "val2017").glob("*.jpg"))
    (entry,) = predict("coco_yolov5_spd_n", [picture], options, weights=weights)
    # Neither the file nor data that is not there says what the classes are called.
    assert {thing["class"] for thing in entry.found} <= set(map(str, range(80)))
    assert torch.isfinite(torch.tensor([thing["box"] for thing in entry.found])).all()
