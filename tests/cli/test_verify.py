"""`spdbuild verify`: equal, or where two networks part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import spdbuild
from spdbuild.weights import save_weights


@pytest.fixture
def converted(run, tiny: Path) -> Path:
    """tiny.yaml converted, but for its pool."""
    assert run("convert", tiny, "--pool", "keep", "-o", "kept.yaml").exit_code == 0
    return Path("kept.yaml")


def test_a_conversion_needs_no_weights_to_be_found_equal(run, tiny: Path, converted: Path):
    result = run("verify", tiny, converted)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("equal: 1 outputs, largest relative error ")
    assert result.stdout.endswith("tolerance 1e-10; 8 layers compared by name\n")


def test_a_replaced_max_pool_is_where_they_part(run, tiny: Path):
    run("convert", tiny, "-o", "new.yaml")
    result = run("verify", tiny, "new.yaml")
    assert result.exit_code == 1
    assert result.stdout.startswith("different: ")
    assert "they part at 'pool'" in result.stderr


def test_weights_of_either_side_and_images_count(run, tiny: Path):
    torch.manual_seed(0)
    save_weights(Path("w.st"), spdbuild.build(tiny).state_dict())
    Path("images").mkdir()
    Image.new("RGB", (20, 10), (200, 30, 90)).save("images/red.png")
    arguments = ("--weights", "w.st", "--pool", "keep", "-o", "new.yaml", "--weights-out", "new.st")
    assert run("convert", tiny, *arguments).exit_code == 0
    both = ("--weights-a", "w.st", "--weights-b", "new.st", "--images", "images")
    assert run("verify", tiny, "new.yaml", *both).exit_code == 0
    Path("images/red.png").write_text("no image")
    result = run("verify", tiny, "new.yaml", *both)
    assert result.exit_code == 2
    assert "red.png" in result.stderr
    torch.manual_seed(1)
    save_weights(Path("other.st"), spdbuild.build("new.yaml").state_dict())
    result = run("verify", tiny, "new.yaml", "--weights-a", "w.st", "--weights-b", "other.st")
    assert result.exit_code == 1
    assert "they part at 'stem.conv'" in result.stderr


def test_json_has_every_layer_and_the_exit_code_stays(run, tiny: Path):
    run("convert", tiny, "-o", "new.yaml")
    result = run("verify", tiny, "new.yaml", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["equal"], document["parting"]) == (False, "pool")
    assert [layer["name"] for layer in document["layers"]][:2] == ["stem.conv", "stem.norm"]


def test_layers_are_listed_on_request(run, tiny: Path, converted: Path):
    lines = run("verify", tiny, converted, "--layers").stdout.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["layer", "stem.conv", "stem.norm", "relu"]


def test_a_folded_file_is_equal_to_what_it_was_folded_from(run, tiny: Path, converted: Path):
    torch.manual_seed(0)
    save_weights(Path("spd.st"), spdbuild.build("kept.yaml").state_dict())
    run("fold", converted, "--weights", "spd.st", "-o", "f.yaml", "--weights-out", "f.st")
    result = run("verify", converted, "f.yaml", "--weights-a", "spd.st", "--weights-b", "f.st")
    assert result.exit_code == 0, result.stderr


def test_networks_that_have_nothing_to_do_with_one_another_need_weights(run, tiny: Path):
    result = run("verify", tiny, "cifar_resnet20", "--input", "3,8,8")
    assert result.exit_code == 2
    assert "--weights-a and --weights-b" in result.stderr


def test_a_variant_is_not_for_a_file_that_has_none(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    head = "model: m\ninputs: {image: [3, 8, 8]}\n"
    Path("two.yaml").write_text(head + "variants: {s: {out: 4}, l: {out: 8}}\nlayers:\n  - a: conv2d(out)\n")
    Path("one.yaml").write_text(head + "layers:\n  - a: conv2d(4)\n")
    result = run("verify", "two.yaml", "one.yaml", "--variant", "s")
    assert (result.exit_code, result.stderr) == (0, "one.yaml has no variants: --variant is not for it\n")
    assert run("verify", "two.yaml", "one.yaml", "--variant", "l").exit_code != 0
