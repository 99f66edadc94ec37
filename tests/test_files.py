"""Text files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from spdbuild.errors import InputError
from spdbuild.files import write_text


def test_a_text_is_written_as_it_is(tmp_path: Path):
    write_text(tmp_path / "new.yaml", "größe: 1\r\n")
    assert (tmp_path / "new.yaml").read_bytes() == "größe: 1\r\n".encode()


def test_what_goes_wrong_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "old.yaml"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="old.yaml cannot be written: No space left on device"):
        write_text(path, "new")
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("old.yaml", "old")]


def test_permissions_are_those_of_the_old_file_or_the_usual_ones(tmp_path: Path):
    (tmp_path / "usual").touch()
    (tmp_path / "old").touch(mode=0o600)
    for name in ("old", "new"):
        write_text(tmp_path / name, "")
    assert (tmp_path / "old").stat().st_mode == 0o100600
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
