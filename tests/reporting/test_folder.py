"""The folder of a report is whole or as it was."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from spdbuild.errors import DiskFullError, InputError
from spdbuild.reporting.folder import CLASSES_TABLE, LATEX, MARKDOWN, PAGE, TABLE, is_report, write_files

FILES = {MARKDOWN: "text", LATEX: "tables", TABLE: "table", PAGE: "page"}


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_new_folder_and_those_above_it(tmp_path: Path) -> None:
    write_files(tmp_path / "a" / "b", FILES)
    assert contents(tmp_path / "a" / "b") == FILES
    assert is_report(tmp_path / "a" / "b")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    write_files(tmp_path / "a", {**FILES, CLASSES_TABLE: "old"})
    write_files(tmp_path / "a", {**FILES, MARKDOWN: "new"})
    assert contents(tmp_path / "a") == {**FILES, MARKDOWN: "new"}


def test_a_report_of_an_earlier_version_is_one(tmp_path: Path) -> None:
    write_files(tmp_path / "a", {name: text for name, text in FILES.items() if name != LATEX})
    assert is_report(tmp_path / "a")
    write_files(tmp_path / "a", FILES)
    assert contents(tmp_path / "a") == FILES


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError) as caught:
        write_files(tmp_path, FILES)
    assert str(caught.value) == (
        f"error: {tmp_path} holds 'thesis.tex', which is of no report\n"
        "      = hint: give a folder that is new, empty, or an earlier report"
    )
    assert contents(tmp_path) == {"thesis.tex": ""}


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="a is a file"):
        write_files(tmp_path / "a", FILES)


def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path / "a", FILES)

    def write_text(path: Path, *arguments: object, **named: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises(DiskFullError, match="a cannot be written: No space left on device"):
        write_files(tmp_path / "a", {**FILES, PAGE: "new"})
    assert contents(tmp_path / "a") == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path / "a", FILES)
    replace = Path.replace

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(errno.EACCES, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with pytest.raises(InputError, match="a cannot be written: Permission denied"):
        write_files(tmp_path / "a", {**FILES, PAGE: "new"})
    assert contents(tmp_path / "a") == FILES
