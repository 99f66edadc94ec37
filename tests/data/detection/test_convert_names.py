"""Names of images and classes that are no text, which no format can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from spdbuild.data.detection.convert import Format, convert
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError


@pytest.mark.parametrize("form", get_args(Format))
def test_names_that_are_no_text_are_refused_and_leave_nothing(tmp_path: Path, form: Format) -> None:
    whole = TinyObjects(images=2, size=64, smallest=5, largest=9).open("train")
    image = replace(whole.images[0], name="0\udcff.png")
    for what, dataset in {
        "image '0\udcff.png'": replace(whole, images=(image, *whole.images[1:])),
        "class 'wa\udcffsp'": replace(whole, names=("wa\udcffsp", *whole.names[1:])),
    }.items():
        with pytest.raises(DataError, match=f"the name of the {what} is no text in UTF-8"):
            convert({"train": dataset}, form, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["yolo", "voc"])
def test_names_that_are_one_where_case_does_not_count_are_refused(tmp_path: Path, form: Format) -> None:
    whole = TinyObjects(images=2, size=64, smallest=5, largest=9).open("train")
    images = tuple(replace(image, name=name) for image, name in zip(whole.images, ("Dog.png", "dog.png"), strict=True))
    with pytest.raises(
        DataError, match="2 images are called '.*Dog' but for their suffix, or for upper and lower case"
    ):
        convert({"train": replace(whole, images=images)}, form, tmp_path / "new")


@pytest.mark.parametrize("form", get_args(Format))
def test_texts_are_utf_8_whatever_the_system_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Format
) -> None:
    write_text = Path.write_text

    def of_windows(path: Path, text: str, encoding: str = "cp1252", newline: str = "\r\n") -> int:
        return write_text(path, text, encoding=encoding, newline=newline)

    monkeypatch.setattr(Path, "write_text", of_windows)
    whole = TinyObjects(images=1, size=64, smallest=5, largest=9).open("train")
    dataset = replace(whole, images=(replace(whole.images[0], name="ß.png"),), names=("Łoś", *whole.names[1:]))
    convert({"train": dataset}, form, tmp_path / "new")
    texts = [path for path in (tmp_path / "new").rglob("*") if path.suffix in (".json", ".txt", ".yaml", ".xml")]
    assert texts
    assert all("\r" not in path.read_bytes().decode() for path in texts)
