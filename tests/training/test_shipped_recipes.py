"""The recipes that come with the package: what they say, and that they run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import spdbuild
from spdbuild import builtin
from spdbuild.cli import spdbuild as command_line
from spdbuild.data.augment.normalize import Normalize
from spdbuild.shape import Shape
from spdbuild.training.network.network import declared_input
from spdbuild.training.recipe import Recipe, load_recipe
from spdbuild.training.running.checking import check_recipe
from spdbuild.training.running.run import train

#: 3x3 kernels of stride 2 become 2x2 kernels over four times the channels, 1x1 ones stay what they are over as many:
#: 7 and 3 more weights for each pair of channels.
EXACT_RESNET20 = 272_474 + (7 + 3) * (16 * 32 + 32 * 64)
EXACT_YOLOV5N = 1_872_157 + 7 * (16 * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 64 * 64 + 128 * 128)
#: Behind the convolution, a space_to_depth gives the next norm and the next 3x3 convolution four times the channels.
RELEASED_RESNET20 = 272_474 + sum(3 * 9 * width**2 + 3 * 2 * width for width in (32, 64))

#: Parameters of the network of each recipe and of its twins; those of published networks are in REFERENCE.md 3.1, 3.3.
PARAMETERS = {
    "cifar10_resnet20_spd": [EXACT_RESNET20, 272_474, RELEASED_RESNET20],
    "cifar10_resnet50_spd": [27_838_436],
    "cifar10_resnet50_spd_fixed": [27_654_026],
    "coco_yolov5_spd_n": [2_256_157],
    "coco_yolov5_spd_s": [8_771_389],
    "coco_yolov5_spd_m": [24_646_557],
    "coco_yolov5_spd_l": [52_707_709],
    "hit_uav_yolov5n": [1_872_157, EXACT_YOLOV5N, 2_256_157],
    "quickstart": [EXACT_RESNET20, 272_474],
    "tiny_imagenet_resnet18_spd": [28_043_336],
    "tiny_imagenet_resnet18_spd_fixed": [20_565_576],
    "tiny_objects": [EXACT_YOLOV5N],
}

#: Data that needs no files, for each task; the size is that of the network's input.
SMALL_DATA = {
    "classification": "data={{name: generated, train: 9, test: 9, size: {size}}}",
    "detection": "data={{name: tiny_objects, images: 4, size: 64}}",
}


#: Of the published data sets.
TRAINING_IMAGES = {"cifar10": 50_000, "tiny_imagenet": 100_000, "coco": 118_287}
INPUTS = {"cifar10": 32, "tiny_imagenet": 64}

#: Recipes of released ResNets.
RELEASED = ("cifar10_resnet50_spd", "tiny_imagenet_resnet18_spd")


@pytest.mark.parametrize("name", builtin.listed("recipes"))
def test_a_recipe_builds_the_networks_that_it_names(name: str) -> None:
    recipe, graphs = check_recipe(name)
    models = [spdbuild.build(graph, device="meta") for graph in graphs.values()]
    assert [sum(p.numel() for p in model.parameters()) for model in models] == PARAMETERS[name]
    assert load_recipe(recipe.resolved()) == recipe


@pytest.mark.parametrize("name", builtin.listed("recipes"))
def test_a_recipe_opens_with_its_command_and_what_it_costs(name: str) -> None:
    text = builtin.listed("recipes")[name].read_text()
    comment = [line for line in text.splitlines() if line.startswith("# ") and "$schema" not in line]
    assert comment[0].startswith(f"# spdbuild train {name}") or f"recipes/{name}.yaml" in comment[0]
    told = " ".join(line.removeprefix("# ") for line in comment)
    assert "Measured" in told or "Not run to the end here" in told
    costs = r"Cost: ([\d,]+) parameters, ([\d,]+) MACs an image, ([\d,]+) (?:steps|batches) of ([\d,]+) images"
    cost = re.search(costs, told)
    assert cost or "Measured" in told
    if cost:
        parameters, macs, steps, batch = (int(number.replace(",", "")) for number in cost.groups())
        recipe, graphs = check_recipe(name)
        graph = next(iter(graphs.values()))
        assert (parameters, macs, batch) == (graph.parameters, graph.macs, recipe.batch)
        assert steps == recipe.epochs * -(-TRAINING_IMAGES[recipe.data.name] // batch)


@pytest.mark.parametrize("name", builtin.listed("recipes"))
def test_the_twins_that_a_recipe_tells_of_have_the_macs_that_it_says(name: str) -> None:
    text = builtin.listed("recipes")[name].read_text().replace("\n# ", " ")
    told = re.findall(r"architecture=(\w+)[^.:]*: (\d+\.\d+) GMACs(?:, where SPD-Conv has (\d+\.\d+))?", text)
    assert len(told) == (2 if name in RELEASED else 1 if name.endswith("_spd_fixed") else 0)
    for twin, *given in told:
        for architecture, gmacs in zip(([f"architecture={twin}"], []), given, strict=True):
            recipe, graphs = check_recipe(name, architecture)
            size = INPUTS[recipe.data.name]
            graph = next(iter(graphs.values())).with_inputs([Shape(3, size, size)])
            assert gmacs in ("", f"{graph.macs / 1e9:.3f}")


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin.listed("recipes"))
def test_a_recipe_runs(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    data = SMALL_DATA[recipe.data.task].format(size=declared_input(recipe)[1])
    changes = [data, "batch=2", "test_batch=2", "max_steps=2", "workers=0", "device=cpu"]
    changes += ["input=[3, 64, 64]", "nominal_batch="] if recipe.data.task == "detection" else []
    changes += ["~expect"] if recipe.expect else []
    # What is generated has no outlines.
    changes += ["task.augment.copy_paste=0"] if recipe.data.task == "detection" else []
    result = train(name, changes, runs=tmp_path, quiet=True)
    assert result.reason == "max_steps=2 is reached"
    assert set(result.metrics) > {recipe.task.monitor}
    assert [twin.title for twin in result.twins] == list(recipe.compare)


def rates(name: str, images: int, steps: list[tuple[int, int]]) -> list[float]:
    """Learning rates of a recipe at (epoch counted from 1, step in it counted from 0)."""
    recipe = load_recipe(name)
    per_epoch = -(-images // recipe.batch)
    lr = recipe.optimizer.lr
    numbers = [(epoch - 1) * per_epoch + step for epoch, step in steps]
    return [recipe.schedule.rates(number, per_epoch, recipe.epochs, lr, 0.9).lr for number in numbers]


def test_the_released_learning_rates_of_cifar10() -> None:
    """REFERENCE.md 4.3: the first epoch from exactly 0 in steps of 1/N to (N-1)/N; 0.02 from 60, 0.004, 0.0008."""
    steps = [(1, 0), (1, 1), (1, 2), (1, 390), (2, 0), (59, 390), (60, 0), (120, 0), (160, 0), (500, 390)]
    expected = [0, 0.1 / 391, 0.2 / 391, 39 / 391, 0.1, 0.1, 0.02, 0.004, 0.0008, 0.0008]
    assert rates("cifar10_resnet50_spd", 50_000, steps) == pytest.approx(expected)


def test_the_released_learning_rates_of_tiny_imagenet() -> None:
    """REFERENCE.md 4.2: as for CIFAR-10, from 0.01793 and for 200 epochs."""
    steps = [(1, 0), (1, 1), (1, 2), (1, 390), (2, 0), (59, 390), (60, 0), (119, 0), (120, 0), (160, 0), (200, 390)]
    factors = [0, 1 / 391, 2 / 391, 390 / 391, 1, 1, 0.2, 0.2, 0.04, 0.008, 0.008]
    expected = [0.01793 * factor for factor in factors]
    assert rates("tiny_imagenet_resnet18_spd", 100_000, steps) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["cifar10_resnet50_spd_fixed", "tiny_imagenet_resnet18_spd_fixed"])
def test_the_fixed_recipes_never_waste_a_step(name: str) -> None:
    assert min(rates(name, 50_000, [(1, 0), (2, 0), (200, 0)])) > 0


def sections(recipe: Recipe) -> dict[str, Any]:
    """Optimizer, schedule and loss with all their keys."""
    resolved = yaml.safe_load(recipe.resolved())
    return {name: resolved[name] for name in ("optimizer", "schedule", "loss", "patience", "distill", "accumulate")}


def released(milestones: tuple[int, ...] = (59, 119, 159), **optimizer: float) -> dict[str, Any]:
    """What both released trainings of ResNets have in common, by REFERENCE.md 4.2 and 4.3."""
    warmup = {"epochs": 1.0, "batches": 0, "start": 0.0, "bias_lr": None, "momentum": None, "accumulate": False}
    return {
        "optimizer": {
            "name": "sgd",
            **optimizer,
            "dampening": 0.0,
            "nesterov": False,
            "decay_norm_and_bias": True,
            "scales": {},
        },
        "schedule": {
            "name": "multi_step",
            "milestones": list(milestones),
            "gamma": 0.2,
            "per": "step",
            **{f"warmup_{key}": value for key, value in warmup.items()},
        },
        "loss": {"name": "cross_entropy", "label_smoothing": 0.0, "class_weights": None},
        "patience": None,
        "distill": None,
        "accumulate": 1,
    }


def test_the_released_protocol_of_cifar10() -> None:
    """REFERENCE.md 4.3."""
    recipe = load_recipe("cifar10_resnet50_spd")
    assert sections(recipe) == released(lr=0.1, momentum=0.9, weight_decay=5e-4)
    assert (recipe.architecture, recipe.vars) == ("resnet50_spd_cifar10", {"classes": 100})
    assert (recipe.batch, recipe.epochs, recipe.precision, recipe.ema, recipe.clip) == (128, 500, "fp32", None, None)
    assert not recipe.drop_last
    assert [(step.name, vars(step)) for step in recipe.augment] == [
        ("random_crop", {"padding": 4, "size": None, "mode": "zero"}),
        ("horizontal_flip", {"probability": 0.5}),
        ("rotation", {"degrees": 15.0}),
    ]
    mean, std = (0.50707516, 0.48654887, 0.44091784), (0.26733429, 0.25643846, 0.27615047)
    assert recipe.preprocess == (Normalize(mean=mean, std=std),)


def test_the_released_protocol_of_tiny_imagenet() -> None:
    """REFERENCE.md 4.2."""
    recipe = load_recipe("tiny_imagenet_resnet18_spd")
    assert sections(recipe) == released(lr=0.01793, momentum=0.9447, weight_decay=0.002113)
    assert recipe.architecture == "resnet18_spd_tiny_imagenet_released"
    assert (recipe.batch, recipe.epochs, recipe.precision, recipe.ema, recipe.clip) == (256, 200, "fp32", None, None)
    assert [(step.name, vars(step)) for step in recipe.augment] == [
        ("horizontal_flip", {"probability": 0.5}),
        ("random_crop", {"padding": 4, "size": None, "mode": "zero"}),
        ("vertical_flip", {"probability": 0.5}),
    ]
    (normalize,) = recipe.preprocess
    mean, std = normalize.constants()
    assert [255 * value for value in mean] == pytest.approx([122.4786, 114.2755, 101.3963])
    assert [255 * value for value in std] == pytest.approx([70.4924, 68.5679, 71.8127])


def test_the_fixed_recipes_differ_in_what_they_say() -> None:
    released, fixed = (load_recipe(f"cifar10_resnet50_spd{end}") for end in ("", "_fixed"))
    assert (released.vars, fixed.vars) == ({"classes": 100}, {"classes": 10})
    assert (released.augment, released.optimizer, released.batch) == (fixed.augment, fixed.optimizer, fixed.batch)
    assert fixed.preprocess == (Normalize(statistics="cifar10"),)
    assert (fixed.epochs, fixed.precision) == (200, "auto")


def test_the_fixed_recipe_of_tiny_imagenet_keeps_all_but_network_and_warm_up() -> None:
    as_released, fixed = (load_recipe(f"tiny_imagenet_resnet18_spd{end}") for end in ("", "_fixed"))
    assert fixed.architecture == "resnet18_spd_tiny_imagenet"
    expected = released((60, 120, 160), lr=0.01793, momentum=0.9447, weight_decay=0.002113)
    expected["schedule"] |= {"warmup_epochs": 5.0, "warmup_start": 0.01}
    assert sections(fixed) == expected
    for key in ("batch", "epochs", "augment", "preprocess", "ema", "clip", "drop_last"):
        assert getattr(fixed, key) == getattr(as_released, key)


def test_show_prints_a_recipe_with_every_default() -> None:
    shown = CliRunner().invoke(command_line, ["show", "cifar10_resnet50_spd_fixed"]).stdout
    assert load_recipe(shown) == load_recipe("cifar10_resnet50_spd_fixed")
    assert {"vars:", "  classes: 10", "  momentum: 0.9", "  nesterov: false", "seed: 0"} <= set(shown.splitlines())
