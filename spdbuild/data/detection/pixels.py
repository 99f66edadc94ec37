"""One image of a data set as pixels: read from its file, and scaled to the size that training works at."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Pixels
from spdbuild.data.files.bands import stored_size
from spdbuild.data.files.decoding import MAX_PIXELS, ORIENTATION, BadFile, decode, describe_fault, opened
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.pictures import Source, path_of
from spdbuild.errors import DataError
from spdbuild.system.files import regular

_JPEG = b"\xff\xd8\xff"

#: The first byte of a JPEG's markers, and the markers whose segment holds the size of the image.
_MARK, _FRAMES = 0xFF, frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

#: Bytes before the first chunk of a PNG; its text chunks, and how one that holds EXIF begins.
_PNG_HEAD, _PNG_TEXTS, _PNG_PROFILE = 8, (b"tEXt", b"zTXt", b"iTXt"), b"Raw profile type exif"

#: EXIF orientations that rotate an image by a quarter turn, so that height and width are swapped.
_TURNED = frozenset((5, 6, 7, 8))


def image_size(path: Path) -> tuple[int, int] | Finding:
    """Height and width of the upright image, from the file's header alone."""
    try:
        with opened(path) as image:
            turned = _has_exif(image, path) and image.getexif().get(ORIENTATION, 1) in _TURNED
            height, width = stored_size(image)
            return (width, height) if turned else (height, width)
    except FileNotFoundError:
        return Finding("missing image", str(path), "does not exist")
    # Pillow's readers raise arbitrary errors for damaged files.
    except Exception as error:
        return Finding("corrupt image", str(path), describe_fault(path, error))


def _has_exif(image: Image, path: Path) -> bool:
    """Whether it may have EXIF. In a PNG that may follow the pixels, and Pillow decodes all of them to get there."""
    if image.format != "PNG":
        return True
    with path.open("rb") as file:
        file.seek(_PNG_HEAD)
        while len(head := file.read(8)) == 8:
            length, kind = int.from_bytes(head[:4]), head[4:]
            text = file.read(min(length, len(_PNG_PROFILE))) if kind in _PNG_TEXTS else b""
            if kind == b"eXIf" or text == _PNG_PROFILE:
                return True
            # A chunk ends with a checksum of four bytes.
            file.seek(length - len(text) + 4, 1)
    return False


def read_pixels(dataset: DetectionSet, index: int) -> Pixels | Finding:
    """The image at position `index`, uint8 [height, width, 3], as large as the data set says it is."""
    return _seen(dataset.images[index], partial(_read, dataset))


def reader(dataset: DetectionSet) -> Callable[[int], Pixels | Finding]:
    """`read_pixels` for the data set; for consecutive tiles of one image, the image is read once."""
    read = lru_cache(maxsize=1)(partial(_read, dataset))
    return lambda index: _seen(dataset.images[index], read)


def _seen(record: ImageRecord, read: Callable[[ImageRecord], Pixels | Finding]) -> Pixels | Finding:
    """An image, or a copy of a tile of one."""
    if record.whole is None:
        return read(record)
    pixels = _seen(record.whole, read)
    if isinstance(pixels, Finding):
        return pixels
    return pixels[record.top : record.top + record.height, record.left : record.left + record.width].copy()


def _read(dataset: DetectionSet, record: ImageRecord) -> Pixels | Finding:
    if record.path is None:
        if dataset.draw is None:
            raise DataError(f"the image '{record.name}' has no file")
        return dataset.draw(record)
    pixels = read_file(record.path, dataset.levels)
    if isinstance(pixels, Finding):
        return pixels
    return _checked(pixels, record)


def read_file(source: Source, levels: Levels = None) -> Pixels | Finding:
    """An image file, or a picture in its place, as uint8 [height, width, 3], upright.

    levels: the values that become black and white in grey images of more than 8 bits.

    JPEGs go through torchvision's operator, which takes 0.8 of Pillow's time; those that it refuses, and all other
    formats, go through Pillow, which also knows why a file cannot be read. Both give the same pixels.
    """
    path = path_of(source)
    if isinstance(source, Path):
        try:
            data = regular(path).read_bytes()
        except FileNotFoundError:
            return Finding("missing image", str(path), "does not exist")
        except OSError as error:
            return Finding("corrupt image", str(path), f"cannot be read: {error.strerror}")
        except ValueError as error:
            # A name that no file can have, such as one with a null character.
            return Finding("missing image", repr(str(path)), str(error))
        pixels = _decode_jpeg(data) if data.startswith(_JPEG) else None
        if pixels is not None:
            return pixels
    decoded = decode(source, None, None, levels)
    if isinstance(decoded, BadFile):
        return Finding("corrupt image", str(path), decoded.reason)
    # For a single pixel this would be a view of read-only memory, which torch does not accept.
    return np.require(decoded.transpose(1, 2, 0), requirements=["C", "W"])


def _decode_jpeg(data: bytes) -> Pixels | None:
    """None if it is damaged or too large, or if there is no operator for it."""
    operator = _jpeg_operator()
    if operator is None:
        return None
    # The operator allocates memory for an image of any size. Pillow would take thirty times as long to get the size.
    height, width = _jpeg_size(data)
    if not 0 < height * width <= MAX_PIXELS:
        return None
    try:
        image = operator(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    except RuntimeError:
        return None
    return np.asarray(image.permute(1, 2, 0).contiguous())


@cache
def _jpeg_operator() -> Callable[[Tensor], Tensor] | None:
    """From the bytes of a JPEG to uint8 [3, height, width], upright; None if torchvision no longer decodes."""
    from torchvision.io import ImageReadMode

    operator = getattr(torch.ops.image, "decode_jpeg", None)
    return operator and partial(operator, mode=ImageReadMode.RGB.value, apply_exif_orientation=True)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Height and width according to the header of a JPEG; 0 if it has none. Source: ITU-T T.81, annex B."""
    place = 2
    while place + 9 <= len(data) and data[place] == _MARK:
        marker = data[place + 1]
        if marker in _FRAMES:
            return int.from_bytes(data[place + 5 : place + 7]), int.from_bytes(data[place + 7 : place + 9])
        # Any number of these bytes may precede a marker.
        place += 1 if marker == _MARK else 2 + int.from_bytes(data[place + 2 : place + 4])
    return 0, 0


def _checked(pixels: Pixels, record: ImageRecord) -> Pixels | Finding:
    return other_size(record, (pixels.shape[0], pixels.shape[1])) or pixels


def other_size(record: ImageRecord, size: tuple[int, int]) -> Finding | None:
    """What is wrong if an image's file, upright, has another height and width than was annotated; else None."""
    height, width = size
    if size == (record.height, record.width):
        return None
    detail = f"is {width}x{height} pixels, but its annotations are for {record.width}x{record.height}"
    turn = _orientation(record.path) if size == (record.width, record.height) and record.path else 1
    if turn in _TURNED:
        detail += f", before its EXIF orientation {turn} turns it; write the image upright, or without its orientation"
    return Finding("other image size", str(record.path), detail)


def _orientation(path: Path) -> int:
    """The EXIF orientation of an image; 1 if it cannot be read."""
    try:
        with opened(path) as image:
            return int(image.getexif().get(ORIENTATION, 1)) if _has_exif(image, path) else 1
    # Pillow's readers raise arbitrary errors for damaged files.
    except Exception:
        return 1


def size_at(record: ImageRecord, long_side: int) -> tuple[int, int]:
    """Height and width of an image scaled so that its longer side has `long_side` pixels; the other is rounded down.

    In whole numbers: by a ratio that is rounded, as published, 98 pixels would become 127 in place of 128.
    """
    longer = max(record.height, record.width)
    return max(1, record.height * long_side // longer), max(1, record.width * long_side // longer)


def scaled(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The image at (height, width), bilinear; with antialiasing, so that no object falls between two samples."""
    if pixels.shape[:2] == size:
        return pixels
    chw = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(chw, size=size, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


def load(dataset: DetectionSet, index: int, long_side: int) -> Pixels | Finding:
    """The image at position `index` at the training size, uint8 [height, width, 3]."""
    pixels = read_pixels(dataset, index)
    if isinstance(pixels, Finding):
        return pixels
    return scaled(pixels, size_at(dataset.images[index], long_side))
