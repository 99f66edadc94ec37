"""The weights that a run leaves behind."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import RunError, WeightsError
from spdbuild.system.files import make_folder
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.folder.writing import save_whole
from spdbuild.weights.facts import Facts
from spdbuild.weights.safetensors_file import save_weights

if TYPE_CHECKING:
    from spdbuild.training.running.session import Session


def keep_best(folder: RunFolder) -> None:
    """Copy the best weights of whole epochs beside the state, before those of a cut-off epoch replace them."""
    if folder.best.is_file():
        save_whole(folder.kept_best, partial(shutil.copyfile, folder.best))


def restore_best(folder: RunFolder) -> None:
    """Restore the best weights of whole epochs, so that the run continues as if it had not been cut off."""
    if folder.kept_best.is_file():
        folder.kept_best.replace(folder.best)


def save_evaluated(session: Session, path: Path) -> None:
    """The evaluated model as it is now: `last` or `best` of the run's folder."""
    make_folder(path.parent, failure=RunError)
    reached = {"epoch": str(session.position.begun), "step": str(session.position.step)}
    size = getattr(session.data.train_images, "size", None)
    facts = {**Facts(session.data.classes, session.network.input, size or ()).texts(), **reached}
    try:
        save_weights(path, session.learner.evaluated.state_dict(), facts)
    except WeightsError as error:
        raise RunError(error.problems[0].message) from None
