"""Options that override keys of a detector's recipe."""

from __future__ import annotations

from collections.abc import Mapping

from spdbuild.errors import InputError
from spdbuild.text.yaml_text import inline


def changes(
    run: str,
    overrides: tuple[str, ...],
    given: Mapping[str, tuple[str, float | tuple[str, ...] | None]],
    *,
    allow_imports: bool = False,
) -> list[str]:
    """The given options as overrides of the recipe; InputError if the run is not a detector's.

    given: by the name of each option the key that it overrides and its value, None or no values where it was left out.
    """
    from spdbuild.training.trained.stored_run import recipe_of

    options = {option: pair for option, pair in given.items() if pair[1] not in (None, ())}
    # Checked before the recipe is changed: its error would quote a line that the user has not typed.
    if options and (task := recipe_of(run, overrides, allow_imports=allow_imports).task.name) != "detection":
        named = " and ".join(options)
        message = f"{named} {'is' if len(options) == 1 else 'are'} for detectors, and the task of {run} is {task}"
        raise InputError(message, hint=f"leave out {named}")
    return [f"{key}={inline(value)}" for key, value in options.values()]
