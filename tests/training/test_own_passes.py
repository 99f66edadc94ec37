"""Passes of somebody else in a recipe: the network behind them is trained, kept, resumed and evaluated."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spdbuild.errors import SpdbuildError
from spdbuild.loading import load
from spdbuild.passes import PASSES
from spdbuild.training.network.network import resolve
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate

from .own_code import forget

PASS = """
from dataclasses import dataclass

from spdbuild.errors import PassError
from spdbuild.ops.activation import LeakyRelu, Relu
from spdbuild.passes import PASSES, Change, GraphPass


@PASSES.register
@dataclass(frozen=True)
class Leak(GraphPass):
    slope: float = 0.1

    def apply(self, graph):
        if self.slope < 0:
            raise PassError(f"slope must be at least 0, got {self.slope}")
        op = LeakyRelu(self.slope)
        relus = [node for node in graph.layers if isinstance(node.op, Relu)]
        for node in relus:
            graph.replace_op(node.name, op)
        return [Change.of(node, op) for node in relus]
"""
NET = """model: net
imports: [leak.py]
inputs: {image: [3, 8, 8]}
vars: {classes: 10}
variants: {thin: {width: 4}, wide: {width: 8}}
blocks:
  conv_relu(out, stride):
    - conv: conv2d(out, 3, stride)
    - relu()
layers:
  - stem: conv_relu(width, stride=2)
  - global_avg_pool()
  - head: linear(classes)
"""
RECIPE = """architecture: nets/net.yaml
variant: wide
data: {name: digits}
passes: [%s]
epochs: 1
max_steps: 2
workers: 0
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an architecture that brings a pass of its own; what was imported is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PASSES, "_classes", dict(PASSES.items()))
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "leak.py").write_text(PASS)
    (folder / "net.yaml").write_text(NET)
    yield folder
    forget()


CHAINS = {
    "alone": ('"leak(0.2)"', ["conv2d(8, kernel=3, stride=2)", "leaky_relu(slope=0.2)"]),
    "before": ('"leak(0.2)", "strided_to_spd()"', ["spd_conv2d(8, kernel=3, stride=2)", "leaky_relu(slope=0.2)"]),
    "behind": ('"strided_to_spd()", "leak(0.2)"', ["spd_conv2d(8, kernel=3, stride=2)", "leaky_relu(slope=0.2)"]),
    "twice": ('"leak(0.2)", "leak(0.3)"', ["conv2d(8, kernel=3, stride=2)", "leaky_relu(slope=0.2)"]),
}


@pytest.mark.parametrize(("passes", "ops"), CHAINS.values(), ids=CHAINS)
def test_a_pass_of_ones_own_is_run_in_its_turn(nets: Path, passes: str, ops: list[str]) -> None:
    graph = resolve(load_recipe(RECIPE % passes), 5, allow_imports=True).graph
    assert [(node.name, str(node.op)) for node in graph.layers] == [
        ("stem.conv", ops[0]),
        ("stem.relu", ops[1]),
        ("global_avg_pool", "global_avg_pool()"),
        ("head", "linear(5)"),
    ]


@pytest.mark.parametrize(("passes", "ops"), CHAINS.values(), ids=CHAINS)
def test_a_run_behind_such_passes_needs_none_of_the_files_it_was_made_of(
    nets: Path, passes: str, ops: list[str]
) -> None:
    folder = train(RECIPE % passes, quiet=True, allow_imports=True).folder
    shutil.rmtree(nets)
    forget()
    assert evaluate(folder, speed=False, allow_imports=True).images == 360
    forget()
    resume(folder, ["max_steps=4"], quiet=True, allow_imports=True)
    kept = load(folder / "architecture.yaml", "wide").graph
    assert [str(node.op) for node in kept.layers][:2] == ops


def test_a_mistake_of_the_pass_is_told_at_its_place_in_the_recipe(nets: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE % '"leak(slope=-1)"')
    with pytest.raises(SpdbuildError, match=r"recipe.yaml:4:10: error: slope must be at least 0, got -1"):
        resolve(load_recipe("recipe.yaml"), allow_imports=True)
