"""Recipes: what they mean, and every way to get them wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spdbuild.errors import RecipeError, SpdbuildError
from spdbuild.losses.classification import CrossEntropy
from spdbuild.losses.detection import DetectionLossOptions
from spdbuild.training.optimizers import OPTIMIZERS
from spdbuild.training.recipe import load_recipe, twins

from .texts import BASE, message, read

SHIPPED = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))

WRONG = {
    "unknown key": ("epoch: 3", "<text>:3:1: error: a recipe has no key 'epoch'", "did you mean 'epochs'?"),
    "no data": (None, "<text>:1:1: error: the file needs the key 'data'", "the data set; `name` picks it."),
    "number as text": ("optimizer: {name: sgd, lr: '0,1'}", "must be a number, got the text '0,1'", "write 0.1"),
    "wrong type": ("epochs: many", "<text>:3:9: error: 'epochs' must be a whole number, got the text 'many'", ""),
    "fraction": ("batch: 12.5", "'batch' must be a whole number, got 12.5", ""),
    "too small": ("epochs: 0", "<text>:3:9: error: epochs must be at least 1, got 0", ""),
    "negative clip": ("clip: -1", "<text>:3:7: error: clip must be more than 0, got -1.0", ""),
    "no clip": ("clip: 0", "<text>:3:7: error: clip must be more than 0, got 0", ""),
    "no minutes": ("max_minutes: 0", "<text>:3:14: error: max_minutes must be more than 0, got 0", ""),
    "unknown optimizer": ("optimizer: {name: sdg}", "'optimizer.name' cannot be 'sdg'", "did you mean 'sgd'?"),
    "unknown but for case": ("optimizer: {name: adamW}", "'optimizer.name' cannot be 'adamW'", "did you mean 'adamw'?"),
    "unknown option": ("optimizer: {name: sgd, momentun: 1}", "'optimizer' has no key", "did you mean 'momentum'?"),
    "option of another": ("optimizer: {name: adamw, momentum: 0.9}", "'optimizer' has no key 'momentum'", ""),
    "learning rate": ("optimizer: {name: sgd, lr: 0}", "<text>:3:28: error: lr must be more than 0, got 0.0", ""),
    "no number": (
        "optimizer: {name: sgd, lr: .nan}",
        "<text>:3:28: error: lr must be a finite number, got nan",
        "",
    ),
    "infinite": ("optimizer: {name: sgd, lr: .inf}", "<text>:3:28: error: lr must be a finite number, got inf", ""),
    "a name alone": ("optimizer: adamw", "'optimizer' must be a mapping, got the text 'adamw'", "write {name: adamw}"),
    "a loss's name alone": ("loss: cross_entropy", "got the text 'cross_entropy'", "write {name: cross_entropy}"),
    "a name alone in a list": ("augment: [horizontal_flip]", "'augment[0]' must", "write {name: horizontal_flip}"),
    "a wrong name alone": ("schedule: Cosin", "got the text 'Cosin'", "did you mean {name: cosine}?"),
    "nesterov alone": ("optimizer: {name: sgd, nesterov: true}", "sgd: Nesterov momentum requires a momentum", ""),
    "betas": ("optimizer: {name: adamw, betas: [0.9]}", "'optimizer.betas' must have at least 2 entries, got 1", ""),
    "unknown schedule": ("schedule: {name: cosin}", "'schedule.name' cannot be 'cosin'", "did you mean 'cosine'?"),
    "milestones": ("schedule: {name: multi_step, milestones: [60, 30]}", "milestones must grow, got 60, 30", ""),
    "peak": ("schedule: {name: one_cycle, peak: 1}", "peak must be more than 0 and less than 1, got 1.0", ""),
    "warm-up": ("schedule: {warmup_epochs: -1}", "warmup_epochs must be at least 0, got -1.0", ""),
    "warm-up of no momentum": (
        "optimizer: {name: adagrad}\nschedule: {warmup_momentum: 0.8}",
        "<text>:4:11: error: adagrad has no momentum to warm up",
        "leave out warmup_momentum",
    ),
    "unknown loss": ("loss: {name: cross_entrop}", "'loss.name' cannot be ", "did you mean 'cross_entropy'?"),
    "smoothing": ("loss: {name: cross_entropy, label_smoothing: 1}", "label_smoothing must be at least 0", ""),
    "unknown task": ("task: clasification", "'task.name' cannot be 'clasification'", "did you mean 'classification'?"),
    "precision": ("precision: fp8", "'precision' must be one of auto, fp32, bf16, fp16, got the text 'fp8'", ""),
    "unknown augmentation": ("augment: [{name: random_crob}]", "cannot be", "did you mean 'random_crop'?"),
    "augment is a list": ("augment: {name: random_crop}", "'augment' must be a list, got a mapping", ""),
    "ema": ("ema: {decay: 1}", "<text>:3:14: error: decay must be at least 0 and less than 1, got 1.0", ""),
    "ema key": ("ema: {decya: 0.9}", "'ema' has no key 'decya'", "did you mean 'decay'?"),
    "weights": ("weights: 3", "<text>:3:10: error: 'weights' must be a mapping or a text or empty, got 3", ""),
    "weights key": ("weights: {file: w, frehs: [head]}", "'weights' has no key 'frehs'", "did you mean 'fresh'?"),
    "no file of weights": ("weights: {fresh: [head]}", "'weights' needs the key 'file'", ""),
    "distill": ("distill: {temperature: 4}", "'distill' needs the key 'architecture'", ""),
    "share": ("distill: {architecture: resnet50, weights: w, share: 2}", "share must be between 0 and 1, got 2.0", ""),
    "expect": ("expect: {top1: high}", "'expect.top1' must be a number, got the text 'high'", ""),
    "twin": ("compare: {plain: 3}", "<text>:3:18: error: a twin is a mapping of the keys that differ", ""),
    "twin key": ("compare: {plain: {epoch: 3}}", "a recipe has no key 'epoch'", "did you mean 'epochs'?"),
    "input": ("input: [3, 32]", "'input' must have at least 3 entries, got 2", ""),
    "size that is a text": (
        "preprocess: [{name: resize, size: 256x128}]",
        "<text>:3:35: error: 'preprocess[0].size' must be a whole number or a list, got the text '256x128'",
        "[height, width] of the result in pixels, or one number for both",
    ),
    "size of half a pixel": ("preprocess: [{name: resize, size: 0.5}]", "'preprocess[0].size' must", "[height, width]"),
    "size of three": (
        "preprocess: [{name: resize, size: [1, 2, 3]}]",
        "<text>:3:35: error: 'preprocess[0].size' must have at most 2 entries, got 3",
        "",
    ),
    "size of a text and a number": (
        "preprocess: [{name: resize, size: [8, a]}]",
        "<text>:3:39: error: 'preprocess[0].size[1]' must be a whole number, got the text 'a'",
        "",
    ),
    "size of nothing": (
        "preprocess: [{name: resize, size: [0, 5]}]",
        "<text>:3:35: error: size must be at least 1, got 0",
        "",
    ),
    "twice": ("epochs: 3\nepochs: 4", "<text>:4:1: error: the key 'epochs' is given twice", ""),
    "title with a path": ("title: ../x", "error: the title '../x' has '/' in it", "below --runs"),
    "title of dots": ("title: '..'", "the title '..' is none that a folder can have", ""),
    "twin with a path": ("compare: {../esc: {seed: 1}}", "name '../esc' has '/' in it", "a folder of this name"),
    "twin in the weights": ("compare: {weights: {seed: 1}}", "name 'weights' is taken by the run itself", ""),
    "twin in the weights on some disks": (
        "compare: {Weights: {seed: 1}}",
        "name 'Weights' is taken by the run itself",
        "upper and lower case count as one",
    ),
    "twins that are one on some disks": (
        "compare: {spd: {seed: 1}, SPD: {seed: 2}}",
        "name 'SPD' is taken by the twin 'spd'",
        "",
    ),
    "twin of the title": ("title: a\ncompare: {a: {seed: 1}}", "the twin's name 'a' is taken by the run itself", ""),
    "random step": (
        "preprocess: [{name: normalize, statistics: half}, {name: mixup}]",
        "<text>:3:58: error: 'mixup' is random, and preprocess is for evaluation too",
        "put it under augment, which is for training images alone",
    ),
    "normalize of the training": (
        "augment: [{name: normalize, statistics: half}]",
        "<text>:3:18: error: 'normalize' under augment leaves the images of evaluation as they are",
        "put it under preprocess, which is for all images",
    ),
    "statistics of 255": (
        "preprocess: [{name: normalize, mean: [122, 122, 122], std: [70, 70, 70]}]",
        "<text>:3:38: error: mean must be at most 1, got 122",
        "mean: [0.4784, 0.4784, 0.4784]",
    ),
    "steps in the wrong order": (
        "augment: [{name: mixup}, {name: rand_augment}]",
        "<text>:3:26: error: rand_augment works on pixels from 0 to 255 and got float32",
        "put rand_augment before normalize, mixup and cutmix",
    ),
    "crop of a crop": (
        "preprocess: [{name: center_crop, size: 8}, {name: center_crop, size: 100}]",
        "<text>:3:70: error: center_crop cannot cut 100x100 from 8x8 pixels",
        "",
    ),
    "value of no pixel": (
        "augment: [{name: random_erasing, value: 300}]",
        "<text>:3:41: error: random_erasing cannot write 300.0 into pixels from 0 to 255",
        "0 is black and 255 is white",
    ),
    "twin that extends": (
        "compare: {a: {extends: quickstart}}",
        "<text>:3:15: error: 'extends' is for the file of a recipe",
        "write the keys themselves that differ",
    ),
    "momentum": (
        "optimizer: {name: sgd, momentum: 2}",
        "<text>:3:34: error: momentum must be at least 0 and less than 1, got 2.0",
        "",
    ),
    "what torch refuses": ("optimizer: {name: adam, eps: -1}", "<text>:3:30: error: adam: Invalid epsilon value", ""),
    "seed of more than 64 bits": ("seed: 1e30", "<text>:3:7: error: seed must be less than 2**63, got 1000", ""),
    "name that is a list": ("task: {name: [1]}", "'task.name' must be one of classification, detection, got a", ""),
    "loss of another task without its name": ("loss: {box_gain: 3}", "'loss' has no key 'box_gain'", "known: "),
    "list": (["- 1\n"], "a recipe is a mapping of keys", ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "error", "hint"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_with_place_and_hint(text: str | list[str] | None, error: str, hint: str) -> None:
    whole = "architecture: resnet50\n\n" if text is None else text[0] if isinstance(text, list) else BASE + text + "\n"
    said = message(whole)
    assert said.startswith("<text>:")
    assert error in said
    assert hint in said


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = message(BASE + "epoch: 3\nbatch: x\n")
    assert "no key 'epoch'" in said
    assert "'batch' must be a whole number" in said


def test_the_whole_text_of_a_message() -> None:
    assert message(BASE + "optimizer: {name: sgd, lr: 0,1}\n") == (
        "<text>:3:30: error: 'optimizer' has no key '1'\n"
        "    3 | optimizer: {name: sgd, lr: 0,1}\n"
        "      |                              ^\n"
        "      = hint: inside { } a comma ends the value: write 0.1"
    )


def test_a_section_without_a_name_changes_the_default() -> None:
    assert read("", "optimizer.lr=0.5").optimizer == OPTIMIZERS["sgd"](
        lr=0.5,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,  # type: ignore[call-arg]
    )


def test_a_loss_without_a_name_is_that_of_the_task() -> None:
    assert read("", "loss.label_smoothing=0.1").loss == CrossEntropy(label_smoothing=0.1)
    detector = "architecture: yolov5\nvariant: n\ndata: {name: tiny_objects}\nloss: {class_gain: 3}\n"
    loss = load_recipe(detector).loss
    assert isinstance(loss, DetectionLossOptions)
    assert loss.class_gain == 3


def test_of_a_loss_without_a_name_nothing_is_said_if_the_data_is_unknown() -> None:
    said = message(BASE, "data.name=digit", "loss.label_smoothing=0.1")
    assert said.count("error:") == 1
    assert "'data.name' cannot be 'digit'" in said


def test_steps_that_the_images_do_not_fit_are_refused_where_they_are_written() -> None:
    recipe = read("augment: [{name: horizontal_flip}, {name: center_crop, size: 100}]\n")
    with pytest.raises(RecipeError) as caught:
        recipe.check_steps((8, 12))
    assert str(caught.value).startswith("<text>:3:62: error: center_crop cannot cut 100x100 from 12x8 pixels\n")
    recipe.check_steps((100, 100))


def test_steps_are_tried_one_behind_the_other() -> None:
    recipe = read("augment: [{name: random_resized_crop, size: 20}]\npreprocess: [{name: center_crop, size: 16}]\n")
    recipe.check_steps((8, 8))
    with pytest.raises(RecipeError, match="cannot cut 16x16 from 8x8 pixels"):
        replace(recipe, augment=()).check_steps((8, 8))


def test_the_resolved_recipe_is_the_same_recipe() -> None:
    recipe = read(
        "weights: w.pt\nema: {decay: 0.99}\naugment: [{name: random_crop, padding: 4}]\nexpect: {top1: 0.5}\n"
    )
    assert load_recipe(recipe.resolved()) == recipe


def test_the_resolved_recipe_names_the_loss() -> None:
    assert "loss:\n  name: cross_entropy\n  label_smoothing: 0.0\n" in load_recipe(BASE).resolved()


def test_a_recipe_can_extend_another(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE + "epochs: 7\noptimizer: {name: sgd, lr: 0.3, momentum: 0.8}\n")
    (tmp_path / "own.yaml").write_text("extends: base.yaml\noptimizer: {lr: 0.2}\n")
    recipe = load_recipe(tmp_path / "own.yaml")
    assert (recipe.title, recipe.epochs) == ("own", 7)
    assert (recipe.optimizer.lr, recipe.optimizer.momentum) == (0.2, 0.8)  # type: ignore[attr-defined]


def test_a_recipe_extends_by_the_rule_of_architectures(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE + "epochs: 7\n")
    (tmp_path / "own.yaml").write_text("extends: base\n")
    assert load_recipe(tmp_path / "own.yaml").epochs == 7
    (tmp_path / "own.yaml").write_text("extends: quickstart.yaml\n")
    assert load_recipe(tmp_path / "own.yaml").architecture == load_recipe("quickstart").architecture


def test_recipes_that_extend_each_other_across_folders_are_refused(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / "own.yaml").write_text(f"extends: ../{other}/own.yaml\n")
    with pytest.raises(SpdbuildError, match="extends itself"):
        load_recipe(tmp_path / "a" / "own.yaml")


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("extends: own.yaml\n")
    with pytest.raises(SpdbuildError, match="extends itself"):
        load_recipe(tmp_path / "own.yaml")


def test_twins_differ_in_what_compare_says() -> None:
    recipe = read("passes: ['strided_to_spd()']\ncompare: {strided: {passes: []}}\n")
    (twin,) = twins(recipe).values()
    assert (twin.title, twin.passes) == ("strided", ())
    assert (twin.epochs, twin.optimizer, twin.data) == (recipe.epochs, recipe.optimizer, recipe.data)


def test_a_missing_file_suggests_a_known_recipe(tmp_path: Path) -> None:
    assert "there is no recipe 'nowhere'" in message("nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accumulate: 2\nnominal_batch: 512\n", "nominal_batch=512 says how many batches make a step, and so does"),
        ("compare: {twin: {expect: {top1: 0.5}}}\n", "a twin has nothing to reach"),
    ],
)
def test_a_key_that_nothing_would_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpdbuildError, match=message):
        read(text)
