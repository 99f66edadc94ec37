"""One image file -> RGB pixels of a known size, or the reason why there are none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from spdbuild.data.files.bands import fourth_band, is_deep_colour, is_misread, lost_bands, unread_tiff
from spdbuild.data.files.levels import COLOUR_REMEDY, Levels, is_deep, lost_levels, to_grey
from spdbuild.data.files.pictures import Picture, Source, path_of
from spdbuild.system.files import regular

Resize = Literal["squash", "crop", "pad"]

#: What the pixels of a file can lose when they become 8-bit RGB.
Lost = Literal["few grey levels", "bands left out"]

# Where nobody has set up logging, Python would print what Pillow logs about a file that it then refuses.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")

#: Suffixes of files that are read as images.
SUFFIXES = frozenset(
    (*_JPEG_SUFFIXES, ".png", ".bmp", ".gif", ".webp", ".avif", ".jp2", ".tif", ".tiff", ".ppm", ".pgm", ".pnm")
)

#: Suffixes of photographs that Pillow reads with a plug-in only. They count as images, bad ones as a rule: who keeps
#: such files among the others means them, and would not see that they are missing.
_UNREAD_SUFFIXES = frozenset((".heic", ".heif", ".hif", ".jxl"))
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

#: Pillow modes whose conversion to RGB loses nothing that a photograph has.
_SOUND_MODES = frozenset(("1", "L", "P", "RGB", "CMYK", "YCbCr"))
_TRANSPARENT_MODES = frozenset(("LA", "PA", "RGBA", "RGBa"))

#: The tag of EXIF that says how an image is to be turned, 1 where it is upright.
ORIENTATION = 0x0112

#: No larger image is read, whatever its format: in RGB it would be more than 2^31 bytes.
MAX_PIXELS = 2**31 // 3
_LARGEST = f"images of more than {MAX_PIXELS:,} pixels are not read"


def is_image_name(path: Path) -> bool:
    """Whether a file is an image by its suffix; others are left alone."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or suffix in _UNREAD_SUFFIXES


@dataclass(frozen=True)
class BadFile:
    """A file that holds no image that can be used, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class OddSize(BadFile):
    """A sound image that has not the size of the others."""


class UnsoundImageError(Exception):
    """An image that is too large, or whose pixels cannot become RGB without inventing something."""


class _PillowLimit:
    """The context in which Pillow reads images of up to MAX_PIXELS.

    By itself it refuses images of more than 179 million pixels, which aerial pictures have. That limit is a global of
    its module, which opening and reading a file both look at, so there is no other way to another one than to set it
    while an image of ours is open. Behind the last of them, in whatever thread, it is what it was. Pillow refuses what
    is more than twice as large as the limit, and warns of the rest.
    """

    def __init__(self) -> None:
        self._lock, self._open, self._before = Lock(), 0, Image.MAX_IMAGE_PIXELS

    def __enter__(self) -> None:
        with self._lock:
            if self._open == 0:
                self._before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
            self._open += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                Image.MAX_IMAGE_PIXELS = self._before


_LIMIT = _PillowLimit()


@contextmanager
def opened(source: Source | BytesIO) -> Iterator[Image.Image]:
    """An image of at most MAX_PIXELS, opened by Pillow; whatever Pillow raises for others, and UnsoundImageError."""
    # A picture is its caller's, who may use it again and so must find it open.
    with _LIMIT, nullcontext(source.image) if isinstance(source, Picture) else _open(source) as image:
        if image.width * image.height > MAX_PIXELS:
            raise UnsoundImageError(f"is {image.width}x{image.height} pixels; {_LARGEST}")
        yield image


def _open(source: Path | BytesIO) -> Image.Image:
    return Image.open(regular(source) if isinstance(source, Path) else source, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names for the formats of SUFFIXES, as far as this version reads them.

    Of the others one, EPS, is a program, which Pillow has run by Ghostscript whatever the file is called.
    """
    known = Image.registered_extensions()
    return tuple(name for name in dict.fromkeys(map(known.get, sorted(SUFFIXES))) if name in Image.OPEN)


def decode(
    source: Source, size: tuple[int, int] | None, resize: Resize | None, levels: Levels = None
) -> NDArray[np.uint8] | BadFile:
    """The pixels of a file or picture, uint8 [3, H, W].

    size: height and width in pixels of the result; None keeps those of the file.
    resize: how an image of another size gets `size`; None refuses it.
    levels: the values that become black and white in grey images of more than 8 bits.
    """
    path = path_of(source)
    try:
        with opened(source) as image:
            rgb = to_rgb(image, levels)
    # Pillow's readers raise what they like for damaged files: OSError, SyntaxError, struct.error, zlib.error, ...
    except Exception as error:
        return BadFile(path, describe_fault(path, error))
    if size is not None and (rgb.height, rgb.width) != size:
        if resize is None:
            return OddSize(path, f"is {rgb.width}x{rgb.height} pixels, not {size[1]}x{size[0]}")
        rgb = resized(rgb, size, resize)
    return np.ascontiguousarray(np.asarray(rgb).transpose(2, 0, 1))


def to_rgb(image: Image.Image, levels: Levels = None) -> Image.Image:
    """The image as 8-bit RGB, upright; UnsoundImageError where no rule says what that would be.

    Grey becomes three equal channels, and an alpha channel is dropped where it hides nothing. With `levels`, grey of
    more than 8 bits is scaled to them, and colour of more is refused; without, both keep their upper 8 bits, and 32-bit
    pixels, whose range is not known, are refused. So is what is partly transparent: what it shows depends on the page
    behind it.
    """
    # An MPO is a JPEG behind whose picture a phone keeps a preview, a depth map or the view of another lens.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise UnsoundImageError(f"has {image.n_frames} frames, not one picture")  # type: ignore[attr-defined]
    if is_misread(image):
        raise UnsoundImageError("is 16-bit colour in separate planes, which is not read: write it as 8-bit RGB")
    if levels is not None and is_deep_colour(image):
        raise UnsoundImageError(f"is a 16-bit colour image: {COLOUR_REMEDY}")
    # A TIFF stands upright as soon as it is loaded, and older versions of Pillow let it keep its orientation.
    if image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if levels is not None and is_deep(image):
        return to_grey(image, levels).convert("RGB")
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        return _opaque(image.convert("RGBA"), fourth_band(image) or "is partly transparent")
    if image.mode not in _SOUND_MODES:
        remedy = "; levels of the data set say it" if is_deep(image) else ""
        raise UnsoundImageError(f"has pixels of mode {image.mode}, whose range is not known{remedy}")
    return image.convert("RGB")


def lost_in(image: Image.Image, levels: Levels) -> dict[Lost, str]:
    """What an image that has been opened and not yet loaded loses as 8-bit RGB, each in a person's words."""
    told: dict[Lost, str] = {"few grey levels": lost_levels(image, levels), "bands left out": lost_bands(image)}
    return {what: words for what, words in told.items() if words}


def lost_in_file(path: Path, levels: Levels) -> dict[Lost, str]:
    """`lost_in` of a file; none for one that cannot be read."""
    try:
        with opened(path) as image:
            return lost_in(image, levels)
    # Pillow's readers raise what they like for damaged files, which are told elsewhere.
    except Exception:
        return {}


def deep_range(path: Path) -> tuple[float, float] | None:
    """The least and the largest value of a grey image of more than 8 bits; None for other files."""
    try:
        with opened(path) as image:
            if not is_deep(image):
                return None
            values = np.asarray(image)
            return float(np.nanmin(values)), float(np.nanmax(values))
    # Pillow's readers raise what they like for damaged files, which are told elsewhere.
    except Exception:
        return None


def _opaque(rgba: Image.Image, fault: str) -> Image.Image:
    if rgba.getchannel("A").getextrema() != (255, 255):
        raise UnsoundImageError(fault)
    return rgba.convert("RGB")


def resized(image: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    """The image at `size` (height, width), bilinear with antialiasing.

    squash: both sides to their length, whatever that does to the proportions.
    crop: proportions kept, what is too long is cut off at both ends.
    pad: proportions kept, what is too short is filled up with black at both ends.
    """
    width_height = (size[1], size[0])
    if resize == "squash":
        return image.resize(width_height, Image.Resampling.BILINEAR)
    if resize == "crop":
        return ImageOps.fit(image, width_height, Image.Resampling.BILINEAR)
    return ImageOps.pad(image, width_height, Image.Resampling.BILINEAR)


def describe_fault(path: Path, error: Exception) -> str:
    """Why a file could not be decoded, in a person's words."""
    if isinstance(error, UnsoundImageError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"has more than {2 * MAX_PIXELS:,} pixels; {_LARGEST}"
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read"
    # What the system refuses has its words for it; Pillow raises the same class for damage, without any.
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if file_length(path) == 0:
        return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        if path.suffix.lower() in _UNREAD_SUFFIXES or _is_heif(path):
            return "is in a format that is not read (convert it to JPEG or PNG)"
        return unread_tiff(path) or "is not an image that can be read"
    return f"is damaged: {error}"


def _is_heif(path: Path) -> bool:
    """Whether a file begins as a phone's HEIC does, which is often called `.jpg` all the same."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _HEIF_BRANDS


def file_length(path: Path) -> int | None:
    """Bytes of a file; None where there is none, behind a broken link or of a name that no file can have."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None
