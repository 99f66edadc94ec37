"""Files of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.errors import RunError
from spdbuild.training.folder.writing import save_text


def test_a_text_is_written_as_it_is_into_a_folder_that_is_made(tmp_path: Path) -> None:
    save_text(tmp_path / "report" / "a.txt", "größe: 1\r\n")
    assert (tmp_path / "report" / "a.txt").read_bytes() == "größe: 1\r\n".encode()


def test_what_cannot_be_written_is_a_failure_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written: it is a folder"):
        save_text(tmp_path, "a")
