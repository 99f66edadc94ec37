"""The environment variables by which the processes of a job know each other."""

from __future__ import annotations

import pytest

from spdbuild.errors import RecipeError
from spdbuild.training.processes.distributed import is_first
from spdbuild.training.processes.job import Job, current_job, require_meeting_place

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "job"),
    [
        ({}, Job()),
        # Where processes would meet says nothing of how many there are.
        ({"MASTER_ADDR": "localhost"}, Job()),
        ({"RANK": "0", "WORLD_SIZE": "1"}, Job()),
        ({"RANK": "2", "WORLD_SIZE": "3", "LOCAL_RANK": "1"}, Job(2, 3)),
    ],
    ids=["none", "a place alone", "one process", "one of three"],
)
def test_a_job_is_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], job: Job
) -> None:
    given(monkeypatch, variables)
    assert current_job() == job
    assert is_first() is (job.rank == 0)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "1"}, "RANK is set and WORLD_SIZE is not"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set and RANK is not"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK must be a whole number, got 'x'"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK must be a whole number, got '-1'"),
        ({"RANK": "0", "WORLD_SIZE": ""}, "WORLD_SIZE must be a whole number, got ''"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "x"}, "LOCAL_RANK must be a whole number, got 'x'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK is 2, and WORLD_SIZE=2 must be larger"),
    ],
)
def test_variables_that_make_no_sense_are_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    given(monkeypatch, variables)
    with pytest.raises(RecipeError) as caught:
        current_job()
    assert str(caught.value) == f"error: {message}\n      = hint: start with torchrun, or unset it"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"MASTER_PORT": "1"}, "WORLD_SIZE is set and MASTER_ADDR is not"),
        ({"MASTER_ADDR": "localhost"}, "WORLD_SIZE is set and MASTER_PORT is not"),
        ({"MASTER_ADDR": "localhost", "MASTER_PORT": "x"}, "MASTER_PORT must be a whole number, got 'x'"),
        ({"MASTER_ADDR": "localhost", "MASTER_PORT": "65536"}, "MASTER_PORT is 65536, and the last port is 65535"),
    ],
)
def test_several_processes_need_a_place_to_meet(
    monkeypatch: pytest.MonkeyPatch, place: dict[str, str], message: str
) -> None:
    given(monkeypatch, {"RANK": "0", "WORLD_SIZE": "2", **place})
    with pytest.raises(RecipeError, match=message):
        require_meeting_place()
