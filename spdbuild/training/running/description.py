"""The files that describe a run, without which it can be neither resumed nor evaluated."""

from __future__ import annotations

from typing import Any

from spdbuild.conversion.convert import settled
from spdbuild.text.json_text import json_text
from spdbuild.training.folder.environment import environment
from spdbuild.training.folder.kept_files import kept_files
from spdbuild.training.folder.writing import save_text
from spdbuild.training.running.session import Session
from spdbuild.training.trained.plugins import plugins_of


def describe(session: Session, *, resumed: bool) -> None:
    """Keep the description in the session. resumed: whether its run was begun by another process."""
    folder, facts = session.folder, _facts(session)
    made = folder.continued(**facts) if resumed else {**environment(), **facts}
    session.description = {
        **kept_files(settled(session.network.architecture).document),
        folder.environment.name: json_text(made, indent=2) + "\n",
        # The last one, because it makes a folder the folder of a run.
        folder.recipe.name: session.text,
    }


def _facts(session: Session) -> dict[str, Any]:
    """What `environment.json` holds besides versions and machine."""
    facts = {"device": str(session.device), "precision": session.precision, "seed": session.recipe.seed}
    plugins = plugins_of(session.recipe, session.network.architecture)
    return {**facts, "processes": session.processes.world, "data": session.data.described(), "plugins": plugins}


def write_description(session: Session) -> None:
    """Write the description into the folder of the run. Raises RunError."""
    for name, text in session.description.items():
        save_text(session.folder.path / name, text)


def describe_again(session: Session) -> None:
    """Write the description again if the folder was removed while the run trains."""
    folder = session.folder
    if folder.recipe.is_file():
        return
    write_description(session)
    session.console.line(f"{folder.path} was removed while the run trains; what describes the run is written anew")
