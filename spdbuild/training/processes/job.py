"""Which process of a job this is, according to torchrun's environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spdbuild.errors import RecipeError

_LAST_PORT = 65535
_HINT = "start with torchrun, or unset it"


@dataclass(frozen=True)
class Job:
    """rank: number of this process. world: number of processes."""

    rank: int = 0
    world: int = 1


def current_job() -> Job:
    """The job of this process, which is its only one unless the environment says otherwise.

    Raises RecipeError for variables that are incomplete or make no sense.
    """
    given = {name: _whole(name) for name in ("RANK", "WORLD_SIZE") if name in os.environ}
    if not given:
        return Job()
    _whole("LOCAL_RANK")
    for name, other in (("RANK", "WORLD_SIZE"), ("WORLD_SIZE", "RANK")):
        if other not in given:
            raise RecipeError(f"{name} is set and {other} is not", hint=_HINT)
    job = Job(given["RANK"], given["WORLD_SIZE"])
    if job.rank >= job.world:
        raise RecipeError(f"RANK is {job.rank}, and WORLD_SIZE={job.world} must be larger", hint=_HINT)
    return job


def require_meeting_place() -> None:
    """Refuse a job whose processes are not told where they meet."""
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise RecipeError(f"WORLD_SIZE is set and {name} is not", hint=_HINT)
    if _whole("MASTER_PORT") > _LAST_PORT:
        raise RecipeError(f"MASTER_PORT is {os.environ['MASTER_PORT']}, and the last port is {_LAST_PORT}", hint=_HINT)


def _whole(name: str) -> int:
    text = os.environ.get(name, "0")
    if not (text.isascii() and text.isdigit()):
        raise RecipeError(f"{name} must be a whole number, got '{text}'", hint=_HINT)
    return int(text)
