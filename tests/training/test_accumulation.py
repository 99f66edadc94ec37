"""Batches that make a step together, and the step that they make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from spdbuild.console import Console
from spdbuild.training.accumulation import Accumulation
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.loop import Loop
from spdbuild.training.running.session import make_session
from spdbuild.training.running.signals import StopRequest


def sizes(accumulation: Accumulation, batches: int, first: int = 0) -> list[int]:
    return [len(group) for group in accumulation.steps(range(batches), first)]


def published(batch: int, growing: int, batches: int) -> list[int]:
    """REFERENCE.md 4.1.3 and 4.1.4: a step is taken when as many batches have passed as are wanted at that batch."""
    taken, last = [], -1
    for number in range(batches):
        wanted = max(1, np.interp(number, [0, growing], [1, 64 / batch]).round())
        if number - last >= wanted:
            taken.append(number - last)
            last = number
    return taken


@pytest.mark.parametrize("batch", [128, 64, 40, 32, 20, 16, 1])
def test_steps_grow_as_published(batch: int) -> None:
    found = sizes(Accumulation(64 / batch, 1000), 3000)
    expected = published(batch, 1000, 3000)
    assert found[: len(expected)] == expected
    assert sum(found) == 3000


def test_without_growth_all_steps_but_the_last_are_alike() -> None:
    assert sizes(Accumulation(3), 10) == [3, 3, 3, 1]
    assert sizes(Accumulation(0.5), 3) == [1, 1, 1]


@given(st.floats(0.1, 9), st.integers(0, 50), st.integers(1, 60), st.integers(0, 60), st.data())
def test_steps_go_on_from_any_of_them(full: float, growing: int, count: int, first: int, data: st.DataObject) -> None:
    accumulation = Accumulation(full, growing)
    starts = accumulation.starts(count, first)
    assert (starts[0], starts[-1]) == (0, count)
    begin = data.draw(st.sampled_from(starts))
    rest = sizes(accumulation, count - begin, first + begin)
    assert [begin, *(begin + np.cumsum(rest, dtype=int))] == starts[starts.index(begin) :]


def trained(recipe: Path, folder: Path, *options: str) -> dict[str, Tensor]:
    """The weights that a recipe leads to in float64; 1437 images, without what depends on the size of a batch."""
    text = (recipe.parent / "tiny.yaml").read_text().splitlines(keepends=True)
    (recipe.parent / "plain.yaml").write_text("".join(t for t in text if "norm" not in t and "dropout" not in t))
    common = [f"architecture={recipe.parent / 'plain.yaml'}", "epochs=2", "~augment", "~ema"]
    wanted = load_recipe(recipe, [*common, *options])
    session = make_session(wanted, RunFolder(folder), Console(True), Processes(), torch.device("cpu"))
    session.learner.model.double().register_forward_pre_hook(lambda model, inputs: (inputs[0].double(),))
    for state in session.learner.optimizer.state.values():
        state["momentum_buffer"] = state["momentum_buffer"].double()
    # The recipes' own losses compute in float32.
    session.learner.criterion = lambda logits, labels: {"loss": functional.cross_entropy(logits, labels)}
    Loop(session, StopRequest()).run()
    return dict(session.learner.model.state_dict())


@pytest.mark.parametrize("option", ["accumulate=2", "nominal_batch=800"])
def test_batches_of_a_step_are_one_large_batch(recipe: Path, tmp_path: Path, option: str) -> None:
    """Also where the last is not full: 400 and 400, then 400 and 237 images, beside 800 and 637."""
    schedule = "schedule={name: constant}"
    large = trained(recipe, tmp_path / "large", "batch=800", schedule)
    small = trained(recipe, tmp_path / "small", "batch=400", schedule, option)
    for name, tensor in large.items():
        torch.testing.assert_close(small[name], tensor, rtol=1e-12, atol=1e-13, msg=name)


def test_the_warm_up_of_a_step_is_that_of_its_last_batch(recipe: Path, tmp_path: Path) -> None:
    """Three batches of an epoch make a step, as large as the one of a run whose rate is that of the third batch."""
    warm = "schedule={name: constant, warmup_batches: 4, warmup_start: 0}"
    small = trained(recipe, tmp_path / "small", "batch=479", "accumulate=3", warm, "max_steps=1")
    still = ("schedule={name: constant}", "optimizer.lr=0.05")
    large = trained(recipe, tmp_path / "large", "batch=1437", *still, "max_steps=1")
    for name, tensor in large.items():
        torch.testing.assert_close(small[name], tensor, rtol=1e-12, atol=1e-13, msg=name)
