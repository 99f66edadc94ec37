"""Options that only one kind of task knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spdbuild.errors import InputError

if TYPE_CHECKING:
    from spdbuild.training.task import Task


def require_task(
    run: str,
    overrides: tuple[str, ...],
    options: Sequence[str],
    kind: str,
    fits: Callable[[Task], bool],
    *,
    allow_imports: bool = False,
) -> None:
    """Refuse options that were given if the task of the run does not fit; raises InputError.

    kind: what the options are for, such as "classifiers".
    """
    if not options:
        return
    from spdbuild.training.trained.stored_run import recipe_of

    task = recipe_of(run, overrides, allow_imports=allow_imports).task
    if not fits(task):
        named = " and ".join(options)
        message = f"{named} {'is' if len(options) == 1 else 'are'} for {kind}, and the task of {run} is {task.name}"
        raise InputError(message, hint=f"leave out {named}")


def require_classifier(
    run: str, overrides: tuple[str, ...], options: Sequence[str], *, allow_imports: bool = False
) -> None:
    """Refuse options of classifiers that were given for a run of another task; raises InputError."""
    require_task(run, overrides, options, "classifiers", lambda task: task.classifies, allow_imports=allow_imports)
