"""Batch norm over processes; with one process it is torch's."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import distributed, nn

from spdbuild.training.processes.sync_norm import SyncBatchNorm, synchronized


@pytest.fixture
def one_process() -> Iterator[None]:
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_with_one_process_it_is_batch_norm(one_process: None, training: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train(training)
    nn.init.uniform_(model[1].weight)
    other = synchronized(copy.deepcopy(model))
    assert isinstance(other[1], SyncBatchNorm)
    images = torch.randn(6, 3, 5, 5)
    for network in (model, other):
        network(images).square().sum().backward()
    torch.testing.assert_close(other(images), model(images))
    for (name, ours), theirs in zip(other.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4, msg=name)
    for ours, theirs in zip(other.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_norm_without_any_tensor_is_synchronized_too() -> None:
    model = synchronized(nn.Sequential(nn.BatchNorm2d(2, affine=False, track_running_stats=False)))
    assert isinstance(model[0], SyncBatchNorm)


def test_names_and_order_of_the_weights_stay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    names = list(model.state_dict())
    assert list(synchronized(model).state_dict()) == names


def test_what_is_frozen_stays_frozen() -> None:
    model = nn.Sequential(nn.BatchNorm2d(4)).requires_grad_(False)
    assert not any(parameter.requires_grad for parameter in synchronized(model).parameters())
