"""A CSV file with the class of each image: the layout of competitions and of many published sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from spdbuild.data.csv.columns import Columns, columns_of, require_column
from spdbuild.data.csv.rows import LabelledRows
from spdbuild.data.csv.table import SUFFIXES, CsvTable, read_table, tables_in
from spdbuild.data.dataset import DATASETS, Fields, Split
from spdbuild.data.files.decoding import Resize
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.listing import Groups, Listing, existing_folder, subfolders
from spdbuild.data.files.named_images import NamedImages, first_with
from spdbuild.data.files.reading import OnError
from spdbuild.data.sets.labelled import LabelledFiles
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import ArgumentError, DataError, MissingSplitError, nearest
from spdbuild.shape import Size
from spdbuild.wording.phrases import some

#: The number of rows by which a folder is recognized.
_LOOKED_AT = 20
_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")


def _files(*names: str) -> tuple[str, ...]:
    return tuple(name + suffix for name in names for suffix in SUFFIXES)


@DATASETS.register
@dataclass(frozen=True)
class Csv(LabelledFiles):
    """Images whose classes stand in a CSV file, in a row for each image.

        root/
          train.csv               image,label        names of columns in the first line; further ones do not matter
                                  cat1.jpg,cat       the file, also without its suffix; its class, a text or a number
          val.csv, test.csv       the same columns
          images/                 or train/, train_images/ and so on: where the names start from

    Columns are separated by commas, semicolons, tabs or bars; the text is UTF-8. The order of the rows does not matter.

    One of val.csv and test.csv is enough: training evaluates on it and chooses the best epoch by it; the split has the
    name of its file, `val` or `test`. With both, that is val.csv, and test.csv is kept for
    `spdbuild eval RUN --split test`. A test.csv without labels is no split. `val_share`, `folds` and `together` are
    those of `folder`; with `group_column: patient`, images of equal values in that column stay together.

    The classes are the labels in the training file, sorted by name, or by number if all are whole numbers.

    root: the folder that holds the files, relative to the current folder.
    train: CSV file of the training images below it; if empty, train.csv, or the only CSV file that is for no other
        split.
    val: CSV file of the validation images; if empty, the first that exists of val.csv, valid.csv, validation.csv.
    test: CSV file of the test images; if empty, test.csv.
    images: folder below the root that the names of images start from; if empty, the first with one of the first images
        among the root, the folder of the CSV file, images/, and folders with the name of the file or the split.
    image_column: name of the column with the file of each image; if empty, the one of a usual name, such as image.
    label_column: name of the column with the class; if empty, the one of a usual name, such as label. If there are but
        two columns, one usual name is enough.
    suffix: added to the names of images that do not end with it, such as .jpg or _left.png; not needed where only one
        image has the name with any suffix.
    classes: their names in the order of their numbers: all labels that there are, or what the labels 0, 1, 2... mean.
        Empty: those of the training file.
    val_share: share of each class of the training file that is held out as the validation split, in place of a file.
    folds: number of equal parts of each class into which the training images are divided; 0: none.
    fold: number, from 0, of the one that is held out as the validation split, in place of a file.
    together: regular expression; images in whose names, below the folder of images, it or its part in parentheses
        matches the same text are on one side of `val_share` or in one fold. Empty: each image is divided by itself.
    group_column: name of a column of the training file; images with the same text in it are on one side of `val_share`
        or in one fold.
    size: [height, width] in pixels to which images are resized, or one number for both; not needed where all have one
        size.
    resize: squash changes the proportions, crop cuts off both ends of a side that is too long, pad fills up with black.
    levels: values that become black and white in grey images of 16 bits, of 32, or of floating point numbers.
    on_error: refuse files that cannot be read or are missing, or skip and count them.
    memory_gib: up to this many GiB of pixels are decoded once and kept in memory.
    """

    usual_val: ClassVar[tuple[str, ...]] = _files("val", "valid", "validation")
    usual_test: ClassVar[tuple[str, ...]] = _files("test")

    root: str = field(metadata=role(Role.RESUMED))
    train: str = ""
    val: str = ""
    test: str = ""
    images: str = ""
    image_column: str = ""
    label_column: str = ""
    suffix: str = ""
    classes: tuple[str, ...] = ()
    val_share: float = 0.0
    folds: int = 0
    fold: int = 0
    together: str | None = None
    group_column: str = ""
    size: Size | None = None
    resize: Resize = "squash"
    levels: Levels = None
    on_error: OnError = "refuse"
    memory_gib: float = field(default=2.0, metadata=role(Role.RESUMED))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_column and self.together is not None:
            raise ArgumentError("group_column and together both say what stays together", argument="group_column")
        if self.group_column and not self.divided:
            message = f"group_column='{self.group_column}' keeps images in one part, and they are not divided into any"
            hint = "say val_share: 0.2 or folds: 5, or leave it out"
            raise ArgumentError(message, argument="group_column", hint=hint)
        if self.image_column and self.image_column == self.label_column:
            message = f"the images and their labels are in the same column, '{self.image_column}'"
            raise ArgumentError(message, argument="label_column")
        if len(self.classes) == 1 or len({*self.classes}) < len(self.classes):
            message = f"classes must be two or more different names, got {some(self.classes, 6)}"
            raise ArgumentError(message, argument="classes")

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        """Of a folder without class folders in which one CSV file names images that are there."""
        data, train = cls(str(root)), root / "train"
        file = data._train_file()
        if file is None or (train.is_dir() and subfolders(train)):
            return None
        try:
            table = read_table(file, _LOOKED_AT)
            names = data._names(table, data._columns(table))
        except DataError:
            return None
        return {"root": str(root)} if first_with(data._places(file, "train"), names) else None

    def existing(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if self._has_labels(Path(self.root) / name)), None)

    def list_train(self) -> Listing:
        root = existing_folder(Path(self.root))
        file = self._train_file()
        if file is None or not file.is_file():
            raise self._no_train_file(root)
        table = read_table(file)
        if self.group_column:
            require_column(table, self.group_column, "as group_column says")
        columns = self._columns(table)
        return self._listed(table, columns, "train", self._class_names(table, columns), file, self.group_column)

    def list_held_out(self, split: Split) -> Listing:
        root = existing_folder(Path(self.root))
        table, train = read_table(self._held_out_file(root, split)), self._train_file()
        trained = read_table(train) if train is not None and train.is_file() else table
        columns = self._columns(trained)
        for name in (columns.image, columns.label):
            require_column(table, name, f"as {trained.file.name} has")
        return self._listed(table, columns, split, self._class_names(trained, columns), trained.file)

    def _train_file(self) -> Path | None:
        """The CSV file to train on; None if none or several may be it."""
        root = Path(self.root)
        if self.train:
            return root / self.train
        if not root.is_dir():
            return None
        others = {self.val, self.test, *self.usual_val, *self.usual_test}
        found = [file for file in tables_in(root) if file.name not in others and "submission" not in file.stem.lower()]
        usual = (file for file in found if file.name in _files("train"))
        return next(usual, found[0] if len(found) == 1 else None)

    def _no_train_file(self, root: Path) -> DataError:
        tables, name = [file.name for file in tables_in(root)], self.train or "train.csv"
        hint = nearest(name, tables)
        if not tables:
            hint = "it should hold train.csv, whose first line names the columns: image,label"
        elif not self.train:
            hint = f"it holds {some(tables, 3)}; say which has the training images, such as train: {tables[0]}"
        return DataError(f"{root} has no file {name} with the images to train on", hint=hint)

    def _held_out_file(self, root: Path, split: Split) -> Path:
        """The CSV file of a held-out split; MissingSplitError if there is none."""
        given, names = (self.val, self.val_names()) if split == "val" else (self.test, self.test_names())
        if given and (root / given).is_file():
            return root / given
        if given:
            hint = nearest(given, (file.name for file in tables_in(root)))
            raise MissingSplitError(f"{root} has no file {given}", hint=hint)
        if (found := self.existing(names)) is not None:
            return root / found
        val = self.existing(self.val_names()) if split == "test" else None
        if val is not None:
            raise MissingSplitError(
                f"{root} has no test.csv with labels: {val} is the split 'val', which training evaluates on",
                hint="take the split val, or say which file has other images and their labels: test: FILE",
            )
        named = " or ".join(name for name in names if name.endswith(SUFFIXES[0]))
        hint = f"say which file it is, {split}: FILE, or hold out a part of the training images with val_share: 0.2"
        raise MissingSplitError(f"{root} has no {named} with labels", hint=hint)

    def _has_labels(self, file: Path) -> bool:
        """Whether a file is there, other than that to train on, and has labels, which a competition may keep back."""
        if not file.is_file():
            return False
        train = self._train_file()
        if file == train:
            return False
        if train is None or not train.is_file():
            return True
        return self._columns(read_table(train, 0)).label in read_table(file, 0).header

    def _columns(self, table: CsvTable) -> Columns:
        return columns_of(table, self.image_column, self.label_column)

    def _names(self, table: CsvTable, columns: Columns) -> list[str]:
        """The names of images with the suffix that they are to have."""
        names = table.column(columns.image)
        if not self.suffix:
            return names
        return [name if not name or name.endswith(self.suffix) else name + self.suffix for name in names]

    def _class_names(self, table: CsvTable, columns: Columns) -> tuple[str, ...]:
        if self.classes:
            return self.classes
        labels = {*table.column(columns.label)} - {""}
        if len(labels) < 2:
            found = f"only one class, '{min(labels)}'," if labels else "no class"
            raise DataError(
                f"{table.file} has {found} in the column '{columns.label}'",
                hint="a classifier needs at least two classes; label_column says which column has them",
            )
        if all(map(_INTEGER.fullmatch, labels)):
            return tuple(sorted(labels, key=lambda label: (int(label), label)))
        return tuple(sorted(labels))

    def _places(self, file: Path, split: Split) -> list[Path]:
        """Folders that the names in a CSV file may start from."""
        root, stem = Path(self.root), file.stem
        beside = ("images", stem, f"{stem}_images", split, f"{split}_images")
        return [root / self.images] if self.images else [root, file.parent, *(root / name for name in beside)]

    def _listed(
        self, table: CsvTable, columns: Columns, split: Split, classes: tuple[str, ...], whose: Path, group: str = ""
    ) -> Listing:
        """The images of a file in the order of class folders; raises DataError for all that is wrong in its rows.

        classes: those of the file `whose`. group: the column of what stays together.
        """
        if self.images:
            existing_folder(Path(self.root) / self.images)
        given, labels = self._names(table, columns), table.column(columns.label)
        places = self._places(table.file, split)
        images = first_with(places, given) or NamedImages(places[0])
        names = images.plain(given)
        rows = LabelledRows(table, images.root, names, list(map(images.find, names)), labels)
        groups, numbers = table.column(group) if group else [], _numbers(classes)
        problems = [
            *rows.empty({columns.image: names, columns.label: labels, group: groups}),
            *rows.repeated(),
            *rows.unclear(),
            *rows.unknown(numbers, "the key `classes`" if self.classes else str(whose)),
            *(rows.missing(lambda: self._missing_hint(rows, columns)) if self.on_error == "refuse" else ()),
        ]
        if problems:
            raise DataError.gather(problems)
        # A path is ordered by its parts: where a folder ends counts before any character of a longer name.
        keys = ((numbers[label], file.replace("/", "\0")) for label, file in zip(labels, rows.files, strict=True))
        order = [row for _, row in sorted(zip(keys, range(len(names)), strict=True))]
        return Listing(
            images.root,
            tuple(images.path(rows.files[row]) for row in order),
            tuple(numbers[labels[row]] for row in order),
            classes,
            groups=_groups(group, [groups[row] for row in order]) if group else None,
        )

    def _missing_hint(self, rows: LabelledRows, columns: Columns) -> str:
        """What to do about images that are not in their folder."""
        if any(rows.found):
            return "mend the names, or leave out what is missing with on_error: skip"
        root, bare = Path(self.root), [name.removesuffix(self.suffix) for name in rows.names]
        if self.suffix and first_with([rows.folder], bare):
            return f"they are there without suffix: {self.suffix}"
        near = [folder for above in subfolders(root) for folder in (above, *subfolders(above))]
        if (other := first_with([root, *near], rows.names)) is not None:
            return f"they are there with images: {other.root.relative_to(root).as_posix()}"
        start = f"the names in the column '{columns.image}' start from {rows.folder}"
        return f"{start}: say which folder it is, images: FOLDER, and suffix: .jpg if they have another ending there"


def _numbers(classes: Sequence[str]) -> dict[str, int]:
    """The number of the class that each label means: its name, or its number if no name is a whole number."""
    numbers = {name: number for number, name in enumerate(classes)}
    if any(map(_INTEGER.fullmatch, classes)):
        return numbers
    return {str(number): number for number in range(len(classes))} | numbers


def _groups(column: str, values: Sequence[str]) -> Groups:
    """Images with equal values in a column; raises ArgumentError if all have the same."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    if len(numbers) == 1:
        message = f"the column '{column}' puts all {len(values):,} images into one group"
        raise ArgumentError(message, argument="group_column", hint="name one whose values differ from group to group")
    return Groups(tuple(numbers[value] for value in values), "group_column", column)
