"""`spdbuild fold`: a flat file without space-to-depth, and weights that go with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import spdbuild
from spdbuild.weights import save_weights

FOLDED = """\
# Folded from tiny_spd; it computes the same
model: tiny_spd_folded
inputs: {image: [3, 8, 8]}
layers:
  - stem_conv: conv2d(4, kernel=3, bias=true)
  - relu: relu()
  - down_conv: conv2d(8, kernel=3, stride=2, bias=true)
  - pool: conv2d(8, kernel=2, stride=2)
  - global_avg_pool: global_avg_pool()
  - head: linear(10)
"""


@pytest.fixture
def converted(run, tiny: Path) -> Path:
    """The converted file, with weights carried over from random ones of tiny.yaml."""
    torch.manual_seed(0)
    save_weights(Path("w.st"), spdbuild.build(tiny).state_dict())
    arguments = ("--weights", "w.st", "-o", "spd.yaml", "--weights-out", "spd.st")
    assert run("convert", tiny, *arguments).exit_code == 0
    return Path("spd.yaml")


def test_the_kernels_are_those_of_the_strided_network(run, converted: Path):
    result = run("fold", converted, "--weights", "spd.st", "-o", "f.yaml", "--weights-out", "f.st")
    assert result.exit_code == 0, result.stderr
    assert Path("f.yaml").read_text() == FOLDED
    assert result.stdout.startswith("2 layers folded, 2 norms fused, 0 kept\n")


def test_the_weights_go_with_the_file_and_keep_the_function(run, converted: Path):
    run("fold", converted, "--weights", "spd.st", "-o", "f.yaml", "--weights-out", "f.st")
    images = torch.randn(2, 3, 8, 8)
    folded, unfolded = spdbuild.build("f.yaml", "f.st").eval(), spdbuild.build("spd.yaml", "spd.st").eval()
    torch.testing.assert_close(folded(images), unfolded(images))


def test_norms_stay_on_request(run, converted: Path):
    result = run("fold", converted, "--weights", "spd.st", "--keep-norms")
    assert "  - down_norm: batch_norm()\n" in result.stdout


def test_json_names_what_was_folded(run, converted: Path):
    document = json.loads(run("fold", converted, "--weights", "spd.st", "--json").stdout)
    assert document["folded"][0] == {
        "name": "down.conv",
        "before": "spd_conv2d(8, kernel=3, stride=2)",
        "after": "conv2d(8, kernel=3, stride=2, bias=true)",
    }
    assert document["fused"] == ["stem.norm", "down.norm"]
    assert document["kept"] == []


def test_what_costs_macs_is_folded_on_request(run, tiny: Path):
    run("convert", tiny, "--placement", "after", "--after", "conv", "--pool", "keep", "-o", "after.yaml")
    result = run("fold", "after.yaml", "-o", "f.yaml")
    assert (
        "down.conv_to_depth  down.norm reads it: batch_norm(); into_producers folds it into down.conv" in result.stdout
    )
    assert "space_to_depth" not in run("fold", "after.yaml", "--into-producers").stdout


def test_weights_to_write_need_weights_to_read(run, converted: Path):
    result = run("fold", converted, "--weights-out", "f.st")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--weights-out needs --weights" in result.stderr


def test_weights_of_another_network_are_refused(run, converted: Path):
    result = run("fold", converted, "--weights", "w.st", "-o", "f.yaml")
    assert result.exit_code == 2
    assert "w.st" in result.stderr
    assert not Path("f.yaml").exists()


def test_options_that_pick_a_network_hold_for_a_run(run, trained: Path):
    result = run("fold", trained, "--input", "3,16,16", "-o", "f.yaml")
    assert (result.exit_code, result.stderr) == (0, "wrote f.yaml\n")
    assert "[3, 16, 16]" in Path("f.yaml").read_text()
    result = run("fold", trained, "--var", "classes=3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is a run, and has the network that it trained" in result.stderr


def test_a_run_is_folded_with_its_best_weights_and_verified(run, digits: str, tmp_path: Path):
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    architecture, recipe = tmp_path / "digits.yaml", tmp_path / "small.yaml"
    architecture.write_text(digits)
    passes = 'passes: ["strided_to_spd()"]'
    recipe.write_text(f"architecture: {architecture}\n{passes}\ndata: {{name: digits}}\nepochs: 1\nworkers: 0\n")
    trained = run("train", recipe, "--runs", tmp_path / "runs", "--quiet")
    assert trained.exit_code == 0, trained.stderr
    folded, weights = tmp_path / "f.yaml", tmp_path / "f.st"
    result = run("fold", tmp_path / "runs" / "small", "-o", folded, "--weights-out", weights)
    assert result.exit_code == 0, result.stderr
    assert "spd" not in folded.read_text().partition("layers:")[2]
    verified = run("verify", tmp_path / "runs" / "small", folded, "--weights-b", weights)
    assert verified.exit_code == 0, verified.stderr


def test_a_folded_file_imports_what_its_ops_need_from_wherever_it_is(run, own: Path):
    assert run("fold", own, "--allow-imports", "-o", "sub/f.yaml").exit_code == 0
    assert "imports: [../own_ops.py]" in Path("sub/f.yaml").read_text()
    assert run("check", "sub/f.yaml", "--allow-imports").stdout == "sub/f.yaml: ok, parameters: 108\n"
    Path("sub/g.yaml").write_text(run("fold", own, "--allow-imports").stdout)
    assert run("check", "sub/g.yaml", "--allow-imports").stdout == "sub/g.yaml: ok, parameters: 108\n"
