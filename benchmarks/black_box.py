"""ultralytics' training of YOLOv5n as a black box: only what its documentation describes is used.

That is `YOLO(...).train(...)` with its arguments and callbacks, and the trainer's `model` and `train_loader`. Nothing
is downloaded: the network starts from its YAML, and plots, mixed precision and validation, which fetch files, are off.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


class _LeaveError(Exception):
    """Ends a training from within a callback."""


class BlackBox:
    """The same training as often as it is asked for.

    data: the dataset YAML. size: pixels of a side. batch: images of a step. folder: for what it writes.
    """

    def __init__(self, data: Path, size: int, batch: int, folder: Path) -> None:
        os.environ |= {"YOLO_CONFIG_DIR": str(folder), "YOLO_VERBOSE": "false"}
        try:
            import ultralytics
        except ImportError:
            raise SystemExit("this benchmark compares with ultralytics: pip install ultralytics") from None
        ultralytics.settings.update({"sync": False})
        self.version: str = ultralytics.__version__
        self._make = ultralytics.YOLO
        self._arguments = {
            "data": str(data),
            "imgsz": size,
            "batch": batch,
            "nbs": batch,  # one update of the weights a batch
            "epochs": 1000,
            "close_mosaic": 0,
            "optimizer": "SGD",
            "device": "cpu",
            "workers": 0,
            "deterministic": False,
            "pretrained": False,
            "amp": False,
            "plots": False,
            "val": False,
            "save": False,
            "verbose": False,
            "project": str(folder / "runs"),
        }

    def loader(self, cache: bool) -> Iterable[dict[str, Any]]:
        """The batches of its training images, for one epoch at a time; cache: whether images stay in memory."""
        return self._trainer({}, cache=cache).train_loader  # type: ignore[no-any-return]

    def model(self) -> Any:
        """Its network as it is before the first step."""
        return self._trainer({}).model

    def steps(self, count: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        """`count` steps of training, from the batch as the loader gives it to the new weights."""
        done = 0

        def end(trainer: Any) -> None:
            nonlocal done
            after()
            done += 1
            if done == count:
                raise _LeaveError

        callbacks = {"on_train_batch_start": lambda trainer: before(), "on_train_batch_end": end}
        self._train(callbacks, cache="ram")

    def _trainer(self, callbacks: dict[str, Callable[[Any], None]], **arguments: Any) -> Any:
        found = []

        def take(trainer: Any) -> None:
            found.append(trainer)
            raise _LeaveError

        self._train({**callbacks, "on_train_start": take}, **arguments)
        return found[0]

    def _train(self, callbacks: dict[str, Callable[[Any], None]], **arguments: Any) -> None:
        model = self._make("yolov5n.yaml")
        for name, function in callbacks.items():
            model.add_callback(name, function)
        try:
            model.train(**self._arguments, **arguments)
        except _LeaveError:
            return
        raise SystemExit("ultralytics ended its training early")
