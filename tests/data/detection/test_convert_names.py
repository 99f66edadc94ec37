"""Names of images and classes that are no text, which no format can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from spdbuild.data.detection.convert import Format, convert
from spdbuild.data.tiny_objects import TinyObjects
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
