"""Boxes and words on pictures, pictures in a grid, and bars: drawn with Pillow, for data and predictions alike."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from spdbuild.pictures.labels import place_labels
from spdbuild.system.files import write_whole

Colour = tuple[int, int, int]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

#: Of words about what is not so.
WRONG: Colour = (192, 32, 32)
_PAPER, _INK, _SHADE = (255, 255, 255), (34, 34, 34), (31, 119, 180)
#: Letters that reach as far up and down as any.
_TALLEST = "Ajg"

#: What Pillow's font has besides ASCII, and fonts of the system with the letters of many languages.
_OTHERS = dict.fromkeys(map(ord, "…·"))
_SYSTEM_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "LiberationSans-Regular.ttf")

#: Turning the hue by the golden ratio sets the colours of neighbouring classes far apart.
_GOLDEN_RATIO = 0.618033988749895


def class_colour(class_: int) -> Colour:
    """A bright colour for a class; the same every time."""
    red, green, blue = colorsys.hsv_to_rgb(class_ * _GOLDEN_RATIO % 1, 0.8, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_boxes(
    image: Image.Image,
    boxes_xyxy: Sequence[Sequence[float]],
    texts: Sequence[str],
    colours: Sequence[Colour],
    *,
    width: int | None = None,
) -> Image.Image:
    """A copy of an RGB image with boxes in pixels around what they hold, and a text at each.

    boxes_xyxy: those that matter most first. texts: may be empty; of a small box in a crowd it is left out.
    width: of the lines in pixels; by the image's size if None, and at least 1.
    """
    drawn = image.convert("RGB").copy()
    draw = ImageDraw.Draw(drawn)
    line = width or max(1, round(max(image.size) / 400))
    font = _font(max(10, round(max(image.size) / 50)), *texts)
    for box, colour in zip(boxes_xyxy, colours, strict=True):
        _frame(draw, box, colour, line)
    # Texts come last, so that no line runs through one.
    corners = place_labels(boxes_xyxy, [_tag_size(text, font) for text in texts], drawn.size, line)
    for corner, text, colour in zip(corners, texts, colours, strict=True):
        if corner is not None:
            _tag(draw, corner, text, colour, font)
    return drawn


def _frame(draw: ImageDraw.ImageDraw, box: Sequence[float], colour: Colour, line: int) -> None:
    """A frame around the box and not on it: what is in a box of few pixels must stay visible."""
    left, top, right, bottom = box
    outer = (round(left) - line, round(top) - line, round(right) + line - 1, round(bottom) + line - 1)
    if outer[2] > outer[0] and outer[3] > outer[1]:
        draw.rectangle(outer, outline=colour, width=line)


def _tag_size(text: str, font: _Font) -> tuple[int, int]:
    """Width and height of a text with its margin, the same height for all texts; no width without a text."""
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox(_TALLEST)
    return int(right - left) + 4 if text else 0, int(bottom - top) + 4


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: Colour, font: _Font) -> None:
    (x, y), (width, height) = corner, _tag_size(text, font)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
    left, top = font.getbbox(text)[0], font.getbbox(_TALLEST)[1]
    draw.text((x + 2 - left, y + 2 - top), text, fill=_PAPER if dark else _INK, font=font)


def captioned(image: Image.Image, text: str, colour: Colour = _INK, width: int | None = None) -> Image.Image:
    """The image on white paper with a line of text below; what the line has no room for is left out.

    width: of the paper in pixels; that of the image if None, which stands in the middle of wider paper.
    """
    width, font = width or image.width, _font(12, text)
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    paper = Image.new("RGB", (width, image.height + _tag_size(_TALLEST, font)[1]), _PAPER)
    paper.paste(image, ((width - image.width) // 2, 0))
    ImageDraw.Draw(paper).text((0, image.height + 1), text, fill=colour, font=font)
    return paper


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """The image with at most `side` pixels a side; a small one is enlarged by a whole factor and so stays sharp."""
    factor = max(1, side // max(image.size))
    small = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    small.thumbnail((side, side))
    return small


def arrange(images: Sequence[Image.Image], columns: int, gap: int = 4) -> Image.Image:
    """Images in rows on white paper; columns are as wide as the widest image, rows as high as their highest."""
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [max(image.height for image in row) for row in rows]
    width = max(image.width for image in images)
    size = (min(columns, len(images)) * (width + gap) + gap, sum(heights) + gap * (len(rows) + 1))
    sheet = Image.new("RGB", size, _PAPER)
    top = gap
    for row, height in zip(rows, heights, strict=True):
        for column, image in enumerate(row):
            sheet.paste(image, (gap + column * (width + gap), top))
        top += height + gap
    return sheet


def draw_bars(title: str, values: Mapping[str, float], width: int = 640) -> Image.Image:
    """A horizontal bar with name and number for each value, in the order given."""
    font, row, left = _font(12, *values), 18, 180
    image = Image.new("RGB", (width, 40 + row * len(values)), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((10, 8), title, fill=_INK, font=_font(14, title))
    longest = max(values.values(), default=0) or 1
    for position, (name, value) in enumerate(values.items()):
        top = 34 + position * row
        end = left + (width - left - 80) * value / longest
        draw.text((10, top), name if len(name) <= 26 else name[:25] + "…", fill=_INK, font=font)
        draw.rectangle((left, top + 1, max(left, end), top + row - 5), fill=_SHADE)
        draw.text((max(left, end) + 6, top), f"{value:,.10g}", fill=_INK, font=font)
    return image


def write_png(image: Image.Image, path: Path) -> None:
    """Write a picture beside `path` and put it in its place once it is on the disk; raises InputError."""
    write_whole(path, lambda beside: image.save(beside, "PNG"))


def _font(size: int, *texts: str) -> _Font:
    """Pillow's own font, which is the same everywhere; one of the system's for texts with letters that it lacks."""
    name = None if all(text.translate(_OTHERS).isascii() for text in texts) else _system_font()
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)


@cache
def _system_font() -> str | None:
    """The first of the usual fonts that the system has."""
    for name in _SYSTEM_FONTS:
        with suppress(OSError):
            ImageFont.truetype(name)
            return name
    return None
