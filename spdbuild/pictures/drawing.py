"""Boxes and words on pictures, pictures in a grid, and bars: drawn with Pillow, for data and predictions alike."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from spdbuild.charts.fonts import draw_text, shortened, text_height, text_length
from spdbuild.pictures.labels import place_labels
from spdbuild.system.files import write_whole
from spdbuild.wording.phrases import printable

Colour = tuple[int, int, int]

#: Of words about what is not so.
WRONG: Colour = (192, 32, 32)
_PAPER, _INK, _SHADE = (255, 255, 255), (34, 34, 34), (31, 119, 180)
#: The space between pictures in a grid, and the size of captions, in pixels.
_GAP, _CAPTION = 4, 12
#: The width of a chart of bars, and where its names and its bars begin, in pixels.
_BARS_WIDTH, _NAMES_LEFT, _BARS_LEFT = 640, 10, 180

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
) -> Image.Image:
    """A copy of an RGB image with boxes in pixels around what they hold, and a text at each.

    boxes_xyxy: those that matter most first. texts: may be empty; of a small box in a crowd it is left out.
    """
    drawn = image.convert("RGB").copy()
    draw = ImageDraw.Draw(drawn)
    line = max(1, round(max(image.size) / 400))
    texts = list(map(printable, texts))
    size = max(10, round(max(image.size) / 50))
    for box, colour in zip(boxes_xyxy, colours, strict=True):
        _frame(draw, box, colour, line)
    # Texts come last, so that no line runs through one.
    corners = place_labels(boxes_xyxy, [_tag_size(text, size) for text in texts], drawn.size, line)
    for corner, text, colour in zip(corners, texts, colours, strict=True):
        if corner is not None:
            _tag(draw, corner, text, colour, size)
    return drawn


def _frame(draw: ImageDraw.ImageDraw, box: Sequence[float], colour: Colour, line: int) -> None:
    """A frame around the box and not on it: what is in a box of few pixels must stay visible."""
    left, top, right, bottom = box
    outer = (round(left) - line, round(top) - line, round(right) + line - 1, round(bottom) + line - 1)
    if outer[2] > outer[0] and outer[3] > outer[1]:
        draw.rectangle(outer, outline=colour, width=line)


def _tag_size(text: str, size: int) -> tuple[int, int]:
    """Width and height of a text with its margin, one height for all texts of a font; no width without a text."""
    return round(text_length(text, size)) + 4 if text else 0, sum(text_height(text, size)) + 4


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: Colour, size: int) -> None:
    (x, y), (width, height) = corner, _tag_size(text, size)
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
    dark = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] < 140
    draw_text(draw, (x + 2, y + 2 + text_height(text, size)[0]), text, size, _PAPER if dark else _INK)


def captioned(image: Image.Image, *lines: str, colour: Colour = _INK, width: int | None = None) -> Image.Image:
    """The image on white paper with lines of text below; what a line has no room for is left out in its middle.

    width: of the paper in pixels; that of the image if None, which stands in the middle of wider paper.
    """
    width = width or image.width
    texts = [_fitting(line, _CAPTION, width) for line in lines]
    heights = [_tag_size(text, _CAPTION)[1] for text in texts]
    paper = Image.new("RGB", (width, image.height + sum(heights)), _PAPER)
    paper.paste(image, ((width - image.width) // 2, 0))
    draw, top = ImageDraw.Draw(paper), image.height
    for text, height in zip(texts, heights, strict=True):
        draw_text(draw, (0, top + 2 + text_height(text, _CAPTION)[0]), text, _CAPTION, colour)
        top += height
    return paper


def _fitting(text: str, size: int, width: float) -> str:
    """A text in one line, with its beginning and its end where it is wider than `width`, in pixels."""
    return shortened(printable(text), width, lambda text: text_length(text, size))


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """The image with at most `side` pixels a side; a small one is enlarged by a whole factor and so stays sharp."""
    factor = max(1, side // max(image.size))
    small = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    small.thumbnail((side, side))
    return small


def arrange(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Images in rows on white paper; columns are as wide as the widest image, rows as high as their highest."""
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [max(image.height for image in row) for row in rows]
    width = max(image.width for image in images)
    size = (min(columns, len(images)) * (width + _GAP) + _GAP, sum(heights) + _GAP * (len(rows) + 1))
    sheet = Image.new("RGB", size, _PAPER)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, image in enumerate(row):
            sheet.paste(image, (_GAP + column * (width + _GAP), top))
        top += height + _GAP
    return sheet


def draw_bars(title: str, values: Mapping[str, float]) -> Image.Image:
    """A horizontal bar with name and number for each value, in the order given."""
    row, left = 18, _BARS_LEFT
    image = Image.new("RGB", (_BARS_WIDTH, 40 + row * len(values)), _PAPER)
    draw = ImageDraw.Draw(image)
    draw_text(draw, (_NAMES_LEFT, 20), printable(title), 14, _INK)
    longest = max(values.values(), default=0) or 1
    for position, (name, value) in enumerate(values.items()):
        top = 34 + position * row
        end = left + (_BARS_WIDTH - left - 80) * value / longest
        text = _fitting(name, _CAPTION, left - _NAMES_LEFT - 8)
        draw_text(draw, (_NAMES_LEFT, top + 11), text, _CAPTION, _INK)
        draw.rectangle((left, top + 1, max(left, end), top + row - 5), fill=_SHADE)
        draw_text(draw, (max(left, end) + 6, top + 11), f"{value:,.10g}", _CAPTION, _INK)
    return image


def write_png(image: Image.Image, path: Path) -> None:
    """Write a picture beside `path` and put it in its place once it is on the disk; raises InputError."""
    write_whole(path, lambda beside: image.save(beside, "PNG"))
