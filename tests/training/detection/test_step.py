"""One step of a detector's training beside the published rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spdbuild.console import Console
from spdbuild.losses.detection import DetectionLoss, DetectionLossOptions
from spdbuild.training.detection.head import head_of
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.loop import Loop
from spdbuild.training.running.session import Session, make_session
from spdbuild.training.running.signals import StopRequest


def session_of(recipe: Path, folder: Path, *options: str) -> Session:
    plain = ("optimizer={name: sgd, lr: 0.001}", "schedule={name: constant}", "~ema", "max_steps=1", "evaluate_every=9")
    wanted = load_recipe(recipe, [*plain, *options])
    return make_session(wanted, RunFolder(folder), Console(True), Processes(), torch.device("cpu"))


@pytest.mark.parametrize(("batch", "accumulate"), [(8, 1), (4, 2), (9, 3)])
def test_a_step_follows_the_sum_of_the_losses_of_its_images(
    recipe: Path, tmp_path: Path, batch: int, accumulate: int
) -> None:
    """Also where the last batch, here of 6 images, is not full: each batch's published loss, added up."""
    session = session_of(recipe, tmp_path / "run", f"batch={batch}", f"accumulate={accumulate}")
    model, batches = session.learner.model, session.data.train_batches
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    classes = session.task.outputs(model) or 0
    loss = DetectionLoss(
        head_of(model).anchors, classes, DetectionLossOptions(objectness_gain=100).scaled(2, classes, 64)
    )
    model.train()
    batches.set_epoch(0)
    for images, targets in list(batches)[:accumulate]:
        torch.autograd.backward(loss(model(images), targets).total)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}

    again = session_of(recipe, tmp_path / "again", f"batch={batch}", f"accumulate={accumulate}")
    Loop(again, StopRequest()).run()
    for name, parameter in again.learner.model.named_parameters():
        expected = before[name] - 0.001 * gradients[name]
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=1e-6, msg=name)
