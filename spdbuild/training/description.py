"""The files that say what a run is made of, without which it can neither go on nor be evaluated."""

from __future__ import annotations

from spdbuild.training.files import write_text
from spdbuild.training.kept_files import kept_files
from spdbuild.training.recipe import Recipe
from spdbuild.training.session import Session


def describe(session: Session, recipe: Recipe) -> None:
    """Have the session keep its description, to which belongs what the environment in its folder says.

    recipe: as the run's folder has it; the session's own can have its network from there.
    """
    folder, architecture = session.folder, session.network.architecture
    session.description = {
        **kept_files(architecture.document),
        folder.environment.name: folder.environment.read_text(encoding="utf-8"),
        # The last one: with it a folder is that of a run.
        folder.recipe.name: recipe.resolved(),
    }


def describe_again(session: Session) -> None:
    """Write the description anew if somebody has removed the folder while the run trains."""
    folder = session.folder
    if folder.recipe.is_file():
        return
    for name, text in session.description.items():
        write_text(folder.path / name, text)
    session.console.line(f"{folder.path} was removed while the run trains; what describes the run is written anew")
