"""Options that override keys of a detector's recipe."""

from __future__ import annotations

from collections.abc import Mapping

from spdbuild.cli.task_options import require_task
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
    options = {option: pair for option, pair in given.items() if pair[1] not in (None, ())}
    # Checked before the recipe is changed: its error would quote a line that the user has not typed.
    require_task(
        run, overrides, list(options), "detectors", lambda task: task.name == "detection", allow_imports=allow_imports
    )
    return [f"{key}={inline(value)}" for key, value in options.values()]
