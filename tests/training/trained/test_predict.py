"""Which files are predicted."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.training.trained.predict import distinct


def test_a_file_is_the_same_by_whatever_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b/inner"):
        Path(folder).mkdir(parents=True)
    for file in ("a/1.png", "2.png", "b/2.png"):
        Path(file).touch()
    Path("link.png").symlink_to("2.png")
    Path("a/inner").symlink_to(tmp_path / "b" / "inner")
    # Behind the link to a folder, .. is another folder than the one that holds the link.
    files = [Path(f) for f in ("2.png", "a/1.png", "a/../2.png", tmp_path / "2.png", "link.png", "a/inner/../2.png")]
    Path("a/2.png").touch()
    files.append(Path("a/2.png"))
    unique = [files[0], files[1], files[4], files[5], files[6]]
    assert distinct(files) == (unique, [files[0]])
    assert distinct(unique) == (unique, [])
