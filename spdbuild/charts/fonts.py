"""Text in Pillow's own font, which is the same everywhere, or in those of the system that have the letters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import cache, lru_cache

from PIL import ImageDraw, ImageFont

Colour = str | int | tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

#: Pillow's own; then fonts of Linux, macOS and Windows: those of European languages, and those of others.
_NAMES = (
    None,
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "Arial.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "Hiragino Sans GB.ttc",
    "AppleSDGothicNeo.ttc",
    "msyh.ttc",
    "malgun.ttf",
    "Arial Unicode.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "Nirmala.ttf",
    "LeelawUI.ttf",
)
#: A code that no font has a letter for: what is drawn in its place stands for every missing one.
_NO_LETTER = "\U0010ffff"
#: Letters that reach as far up and down as any.
_TALLEST = "Ajg"


def draw_text(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: Colour) -> None:
    """Write a text in one line, whose baseline begins at `at`. size: of its fonts, in pixels."""
    x, y = at
    for part, font in _parts(text, size):
        draw.text((x, y), part, fill=colour, font=font, anchor="ls")
        x += font.getlength(part)


def text_length(text: str, size: int) -> float:
    """The width of a text in pixels."""
    return float(sum(font.getlength(part) for part, font in _parts(text, size)))


def text_height(text: str, size: int) -> tuple[int, int]:
    """How many pixels a text reaches above its baseline and below it; the same for all texts of one font."""
    boxes = [font.getbbox(_TALLEST + part, anchor="ls") for part, font in _parts(text or _TALLEST, size)]
    return -int(min(box[1] for box in boxes)), int(max(box[3] for box in boxes))


def shortened(text: str, most: float, width: Callable[[str], float]) -> str:
    """The text if it is at most `most` wide, else its beginning and its end; empty if not even a letter fits."""
    if width(text) <= most:
        return text

    def cut(kept: int) -> str:
        return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"

    kept = bisect_right(range(len(text)), most, key=lambda kept: width(cut(kept))) - 1
    return cut(kept) if kept > 0 else ""


@lru_cache(maxsize=4096)
def _parts(text: str, size: int) -> tuple[tuple[str, _Font], ...]:
    """The text in one font if one has all of its letters, else in pieces, each with its font."""
    if text.isascii():
        return ((text, _font(None, size)),)
    letters = set("".join(text.split()))
    for name in _NAMES:
        if all(_has(name, letter) for letter in letters):
            return ((text, _font(name, size)),)
    pieces: list[tuple[str, str | None]] = []
    for letter in text:
        last, name = pieces[-1] if pieces else ("", None)
        if letter.isspace() or _has(name, letter):
            pieces[-1:] = [(last + letter, name)]
        else:
            pieces.append((letter, next((name for name in _NAMES if _has(name, letter)), None)))
    return tuple((piece, _font(name, size)) for piece, name in pieces)


@cache
def _has(name: str | None, letter: str) -> bool:
    """Whether a font has a letter; no letter if the system lacks the font."""
    if not _exists(name):
        return False
    font = _font(name, 20)
    return bytes(font.getmask(letter)) != bytes(font.getmask(_NO_LETTER))


@cache
def _exists(name: str | None) -> bool:
    try:
        _font(name, 20)
    except OSError:
        return False
    return True


@cache
def _font(name: str | None, size: int) -> _Font:
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)
