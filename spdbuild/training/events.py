"""The metrics of a run as events for TensorBoard, where that is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Events:
    """Writes each row's numbers under their names; without TensorBoard it does nothing.

    first_epoch: epochs already in the folder; what an interrupted run wrote beyond them is hidden.
    """

    def __init__(self, folder: Path, first_epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._writer: Any = None
        else:
            self._writer = SummaryWriter(str(folder), purge_step=first_epoch + 1)  # type: ignore[no-untyped-call]

    def add(self, row: dict[str, Any]) -> None:
        """One epoch's row."""
        if self._writer is None:
            return
        for name, value in row.items():
            self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()
