"""Worker processes of a loader."""

from __future__ import annotations

import os

import pytest

from spdbuild.data import workers


def test_no_more_workers_are_started_than_the_machine_has_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch warns of more, and warnings are errors here.
    assert workers.Workers(str, 10_000, pin_memory=False)._loader.num_workers == len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(3))
    assert [workers.Workers(str, count, pin_memory=False)._loader.num_workers for count in (0, 2, 5)] == [0, 2, 3]
