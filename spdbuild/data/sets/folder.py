"""A folder for each class: the layout in which people keep their own images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NoReturn

from spdbuild.data.csv.table import tables_in
from spdbuild.data.dataset import DATASETS, Split
from spdbuild.data.files.decoding import Resize
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.listing import Listing, existing_folder, image_files, subfolders
from spdbuild.data.files.reading import OnError
from spdbuild.data.sets.boxes_hint import boxes_hint
from spdbuild.data.sets.labelled import LabelledFiles
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import DataError, MissingSplitError, nearest
from spdbuild.shape import Size
from spdbuild.wording.phrases import some

#: Usual names of the folders with images that are not trained on, in the order in which they are looked for.
_VAL_FOLDERS = ("val", "valid", "validation")
_HELD_OUT_FOLDERS = ("test", *_VAL_FOLDERS)


@DATASETS.register
@dataclass(frozen=True)
class Folder(LabelledFiles):
    """Images in folders that are named after their classes.

        root/
          train/<class>/*.png     any image format, also in folders below
          val/<class>/*.png       or valid/, validation/
          test/<class>/*.png

    One of val/ and test/ is enough: training evaluates on it and chooses the best epoch by it; the split has the name
    of its folder, `val` or `test`. With both, that is val/, and test/ is kept for `spdbuild eval RUN --split test`.

    Without val/ and test/, `val_share: 0.2` evaluates on a fifth of each class of train/, nearly the same files when
    others are added; with class folders right below root, `train: .` goes with it. `folds: 5, fold: 0` evaluates on the
    first of five such parts, which together are all of train/, whatever the seed. A cross-validation is
    `spdbuild sweep RECIPE data.folds=5 --over data.fold=0,1,2,3,4`, whose folds `spdbuild report` takes together. With
    a share or folds, val/ is kept for the end as test/ is.

    Frames of one video, or pictures of one patient, are too much alike to be trained and evaluated on. With
    `together: 'patient_[0-9]+'`, those whose names have the same match are never on both sides; `spdbuild data stats`
    says what share is held out then. Adding images may change the side of a group.

    The classes are those of the training folder, sorted by name; a split beside which there is none can be evaluated
    on. Every image has three channels, which are equal in a grey one: no data set gives images of one channel.

    root: the folder that holds the splits, relative to the current folder.
    train: name of the training folder below it.
    val: name of the validation folder below it; if empty, the first that exists of val, valid, validation.
    test: name of the test folder below it; if empty, test.
    val_share: share of the training folder's images that are held out as the validation split, in place of a folder.
    folds: number of equal parts of each class into which the training folder's images are divided; 0: none.
    fold: number, from 0, of the one that is held out as the validation split, in place of a folder.
    together: regular expression; images in whose names, below the training folder, it or its part in parentheses
        matches the same text are on one side of `val_share` or in one fold. Empty: each image is divided by itself.
    size: [height, width] in pixels to which images are resized, or one number for both; not needed where all have one
        size.
    resize: squash changes the proportions, crop cuts off both ends of a side that is too long, pad fills up with black.
    levels: values that become black and white in grey images of 16 bits, of 32, or of floating point numbers.
    on_error: refuse files that cannot be read, or skip and count them.
    memory_gib: up to this many GiB of pixels are decoded once and kept in memory.
    """

    usual_val: ClassVar[tuple[str, ...]] = _VAL_FOLDERS
    usual_test: ClassVar[tuple[str, ...]] = ("test",)

    root: str = field(metadata=role(Role.RESUMED))
    train: str = "train"
    val: str = ""
    test: str = ""
    val_share: float = 0.0
    folds: int = 0
    fold: int = 0
    together: str | None = None
    size: Size | None = None
    resize: Resize = "squash"
    levels: Levels = None
    on_error: OnError = "refuse"
    memory_gib: float = field(default=2.0, metadata=role(Role.RESUMED))

    def existing(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if (Path(self.root) / name).is_dir()), None)

    def list_train(self) -> Listing:
        folder = _split_folder(existing_folder(Path(self.root)), (self.train,), "training")
        return _list(folder, _class_names(folder))

    def list_held_out(self, split: Split) -> Listing:
        root = existing_folder(Path(self.root))
        if not (root / self.train).is_dir():
            folder = self._held_out(split)
            return _list(folder, _test_class_names(folder))
        classes = _class_names(_split_folder(root, (self.train,), "training"))
        folder = self._held_out(split)
        _check_test_classes(folder, classes)
        return _list(folder, classes)

    def _held_out(self, split: Split) -> Path:
        """The folder of a held-out split; MissingSplitError if there is none."""
        root = Path(self.root)
        if split == "val":
            return _split_folder(root, self.val_names(), "validation", MissingSplitError)
        names, val = self.test_names(), self.existing(self.val_names())
        if val and not self.test and not self.existing(names):
            raise MissingSplitError(
                f"{root} has no test folder {_either(names)}: {val}/ is the split 'val', which training evaluates on",
                hint=f"put images that training never sees into {names[0]}/<class>/, or take the split val",
            )
        return _split_folder(root, names, "test", MissingSplitError)


def _split_folder(root: Path, names: Sequence[str], what: str, failure: type[DataError] = DataError) -> Path:
    """The first of `names` below `root`; the hint of the `failure` says which of the usual mistakes was made."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise failure(f"{root} has no {what} folder {_either(names)}", hint=_layout_hint(root, names))


def _either(names: Sequence[str]) -> str:
    return " or ".join(f"{name}/" for name in names)


def _layout_hint(root: Path, names: Sequence[str]) -> str:
    folders = subfolders(root)
    if root.name in ("train", *_HELD_OUT_FOLDERS) and any((root.parent / name).is_dir() for name in names):
        return f"give the folder above it: root: {root.parent}"
    if len(folders) == 1 and (folders[0] / names[0]).is_dir():
        return f"the data set is one folder further down: root: {folders[0]}"
    if any(folder.name.startswith("cifar-10") for folder in folders):
        return "this is CIFAR's own archive: read it with name: cifar10 or cifar100"
    if boxes := boxes_hint(root):
        return boxes
    near = nearest(names[0], (folder.name for folder in folders))
    if near.startswith("did you mean"):
        return near
    if tables := tables_in(root):
        return f"if the labels stand in {tables[0].name}, read them with name: csv, root: {root}"
    if not folders:
        return "it should hold train/<class>/*.png and test/<class>/*.png"
    found = some((f"{folder.name}/" for folder in folders), 3)
    if names[0] == "train":
        return f"it holds {found}; if these are the classes, say train: . and val_share: 0.2"
    return f"it holds {found}; move a part of each class to {names[0]}/<class>/, or say val_share: 0.2"


def _class_names(folder: Path, otherwise: str = "") -> tuple[str, ...]:
    """The class folders; otherwise: what else can be done about a folder without images, for the hint."""
    classes = tuple(entry.name for entry in subfolders(folder))
    if not classes:
        loose = next(image_files(folder), None)
        found = f"images such as {loose.name} but no class folders" if loose else "no class folders"
        moved = f"put the images of each class into {folder}/<class>/"
        raise DataError(
            f"{folder} holds {found}", hint=boxes_hint(folder.parent) or moved + ("" if loose else otherwise)
        )
    if len(classes) == 1:
        raise DataError(
            f"{folder} has only one class folder, {classes[0]}/",
            hint="a classifier needs at least two classes, a folder for each",
        )
    return classes


def _check_test_classes(folder: Path, classes: tuple[str, ...]) -> None:
    found = _test_class_names(folder)
    known = set(classes)
    unknown = [name for name in found if name not in known]
    if unknown:
        raise DataError(
            f"{folder} has the class {unknown[0]}/, which is not in the training folder",
            hint=nearest(unknown[0], classes),
        )


def _test_class_names(folder: Path) -> tuple[str, ...]:
    """The class folders of a test folder; training classes may be missing, as long as two or more are there."""
    if (folder / "val_annotations.txt").is_file():
        _refuse_tiny_imagenet(folder)
    return _class_names(folder, ", or remove the folder and say val_share: 0.2")


def _refuse_tiny_imagenet(folder: Path) -> NoReturn:
    raise DataError(
        f"{folder} keeps its labels in val_annotations.txt and not in folders",
        hint=f"this is Tiny ImageNet: read it with name: tiny_imagenet, root: {folder.parent}",
    )


def _list(folder: Path, classes: tuple[str, ...]) -> Listing:
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue
        files = list(image_files(folder / name))
        if not files:
            raise DataError(
                f"the class folder {folder / name} holds no images",
                hint="remove the folder, or put images such as .png or .jpg into it",
            )
        paths += files
        labels += [label] * len(files)
    return Listing(folder, tuple(paths), tuple(labels), classes)
