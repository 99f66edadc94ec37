"""The global random number generators of a run, and that of a device that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spdbuild.training.checkpoint import generator_states, generators_kept, restore_generators

MPS = torch.device("mps")


@pytest.fixture
def of_apple(monkeypatch: pytest.MonkeyPatch) -> torch.Generator:
    """What an Apple GPU draws from, as torch gives access to it."""
    generator = torch.Generator().manual_seed(5)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda device: generator.get_state())
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state, device: generator.set_state(state))
    return generator


def drawn(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


def test_what_an_apple_gpu_draws_goes_on(tmp_path: Path, of_apple: torch.Generator) -> None:
    torch.save(generator_states(MPS), tmp_path / "states.pt")
    first = drawn(of_apple)
    restore_generators(torch.load(tmp_path / "states.pt", map_location="cpu"), MPS)
    assert drawn(of_apple) == first


def test_a_run_leaves_it_as_it_was(of_apple: torch.Generator) -> None:
    expected = drawn(torch.Generator().manual_seed(5))
    with generators_kept(MPS):
        drawn(of_apple)
    assert drawn(of_apple) == expected


def test_a_run_that_was_begun_elsewhere_goes_on_there(of_apple: torch.Generator) -> None:
    expected = drawn(torch.Generator().manual_seed(5))
    restore_generators(generator_states(torch.device("cpu")), MPS)
    assert drawn(of_apple) == expected
