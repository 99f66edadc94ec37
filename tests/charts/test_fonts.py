"""Texts in many languages."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont

from spdbuild.charts import fonts
from spdbuild.charts.fonts import draw_text, shortened, text_height, text_length


def drawn(text: str) -> bytes:
    image = Image.new("L", (300, 50), 255)
    draw_text(ImageDraw.Draw(image), (5, 30), text, 20, 0)
    return image.tobytes()


def test_text_in_ascii_is_in_the_font_that_is_the_same_everywhere() -> None:
    image = Image.new("L", (300, 50), 255)
    font = ImageFont.load_default(20)
    ImageDraw.Draw(image).text((5, 30), "Class 1", fill=0, font=font, anchor="ls")
    assert drawn("Class 1") == image.tobytes()
    assert text_length("Class 1", 20) == font.getlength("Class 1")


@pytest.mark.parametrize(
    "letters",
    [
        ("\N{CYRILLIC SMALL LETTER ZHE}", "\N{CYRILLIC SMALL LETTER SHCHA}"),
        ("\N{CJK UNIFIED IDEOGRAPH-732B}", "\N{CJK UNIFIED IDEOGRAPH-72AC}"),
        ("\N{DEVANAGARI LETTER KA}", "\N{DEVANAGARI LETTER GHA}"),
    ],
    ids=["Cyrillic", "Chinese", "Devanagari"],
)
def test_letters_are_those_of_a_font_that_has_them(letters: tuple[str, str]) -> None:
    if not any(fonts._has(name, letter) for name in fonts._NAMES for letter in letters):
        pytest.skip("the system has no such font")
    # Without their letters all texts of one length would be the same empty boxes, alone and beside others.
    assert drawn(letters[0]) != drawn(letters[1])
    assert drawn(f"seen as {letters[0]}") != drawn(f"seen as {letters[1]}")


def test_a_system_without_fonts_draws_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_NAMES", (None,))
    fonts._parts.cache_clear()
    assert drawn("\N{CYRILLIC SMALL LETTER ZHE}") == drawn("\N{CYRILLIC SMALL LETTER SHCHA}")
    assert text_height("\N{CYRILLIC SMALL LETTER ZHE}", 20)[0] > 0
    fonts._parts.cache_clear()


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [("cat", 3, "cat"), ("golden retriever", 8, "gold…ver"), ("cats", 3, "c…s"), ("cats", 2, "c…"), ("cats", 1, "")],
)
def test_what_is_too_long_is_cut_in_the_middle(text: str, most: int, expected: str) -> None:
    assert shortened(text, most, len) == expected
