"""Options for what only classifiers give."""

from __future__ import annotations

from collections.abc import Mapping

from spdbuild.errors import InputError


def require_classifier(
    run: str, overrides: tuple[str, ...], given: Mapping[str, bool], *, allow_imports: bool = False
) -> None:
    """Refuse options of classifiers if the run is of another task; raises InputError.

    given: by the name of each option whether it was given.
    """
    options = [option for option, is_given in given.items() if is_given]
    if not options:
        return
    from spdbuild.training.trained.stored_run import recipe_of

    task = recipe_of(run, overrides, allow_imports=allow_imports).task
    if not task.classifies:
        named = " and ".join(options)
        message = (
            f"{named} {'is' if len(options) == 1 else 'are'} for classifiers, and the task of {run} is {task.name}"
        )
        raise InputError(message, hint=f"leave out {named}")
