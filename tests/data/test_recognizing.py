from __future__ import annotations

from pathlib import Path

from spdbuild.data.cifar import Cifar10, Cifar100
from spdbuild.data.folder import Folder
from spdbuild.data.recognizing import recognized
from spdbuild.data.tiny_imagenet import TinyImagenet


def test_a_folder_is_recognized_by_what_it_holds(class_folders: Path, tiny_imagenet: Path, tmp_path: Path) -> None:
    (tmp_path / "ten" / "cifar-10-batches-py").mkdir(parents=True)
    (tmp_path / "hundred").mkdir()
    (tmp_path / "hundred" / "cifar-100-python.tar.gz").touch()
    assert recognized(class_folders) is Folder
    assert recognized(tiny_imagenet) is TinyImagenet
    assert recognized(tmp_path / "ten") is Cifar10
    assert recognized(tmp_path / "hundred") is Cifar100
