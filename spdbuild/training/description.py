"""The files that describe a run, without which it can be neither resumed nor evaluated."""

from __future__ import annotations

from spdbuild.training.files import save_text
from spdbuild.training.kept_files import kept_files
from spdbuild.training.recipe import Recipe
from spdbuild.training.session import Session


def describe(session: Session, recipe: Recipe) -> None:
    """Keep the description in the session, including the environment file in its folder.

    recipe: as stored in the run's folder; the session's own recipe may take its network from there.
    """
    folder, architecture = session.folder, session.network.architecture
    session.description = {
        **kept_files(architecture.document),
        folder.environment.name: folder.environment.read_text(encoding="utf-8"),
        # The last one, because it makes a folder the folder of a run.
        folder.recipe.name: recipe.resolved(),
    }


def describe_again(session: Session) -> None:
    """Write the description again if the folder was removed while the run trains."""
    folder = session.folder
    if folder.recipe.is_file():
        return
    for name, text in session.description.items():
        save_text(folder.path / name, text)
    session.console.line(f"{folder.path} was removed while the run trains; what describes the run is written anew")
