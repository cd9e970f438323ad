"""One picture: open it, turn it upright, fit it to a shape, and make numbers of it.

Depth is kept: 8-bit values are v/255, 16-bit grey v/65535, floating point as it is. Colour
profiles are not applied; Pillow reads 16-bit colour as 8-bit colour.
"""

import errno
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from hush.data.fit import fitted
from hush.data.options import CENTRE, PictureOptions
from hush.data.plain import plain
from hush.data.words import cause, shown
from hush.errors import UserError

# The kinds Pillow may try, and what their files are called. Formats that start other programs
# (EPS starts Ghostscript) stay out.
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
ENDINGS = (".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg")
ENDINGS += (".jpg", ".pbm", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff")
ENDINGS += (".webp",)

_GREY = ("1", "L", "LA", "La", "F", "I")  # and "I;16" in its byte orders
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
# Pillow refuses a picture of more than 179 million pixels. Of those above _LARGE only one at a time
# is decoded, so that threads cannot add up to more memory than there is.
_LARGE, _ROOM = 1 << 24, threading.Lock()
# Troubles of the machine and not of a picture, which is therefore not broken and never skipped.
_TROUBLE = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT)


class BrokenPicture(UserError):
    """A picture that cannot be read: which one, and why."""

    def __init__(self, name: str, reason: str, others: int = 0) -> None:
        more = f", and {others:,} more like it" if others else ""
        super().__init__(
            f"{name} cannot be read as a picture: {reason}{more}; "
            "move it away or pass --skip-broken."
        )
        self.name, self.reason = name, reason
        self.key: object = name  # what the picture is under in `EncodedPictures.broken`


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before any pixel is decoded."""

    size: tuple[int, int]
    """(height, width) once upright."""
    grey: bool
    """Whether it holds no colour."""
    levels: int | None
    """Grey levels of [0, 1]; None for floating point."""


def header(file: str | io.BufferedIOBase, name: str) -> Header:
    """Read the head of a picture; raises `BrokenPicture`, which calls it `name`."""
    with _opened(file, name) as image:
        width, height = image.size
        # Pillow has already turned the size of a TIFF, but of no other format.
        if image.format != "TIFF" and _orientation(image) in _SIDEWAYS:
            width, height = height, width
        deep = image.mode == "I" or image.mode.startswith("I;16")
        levels = None if image.mode == "F" else 65536 if deep else 256
        return Header((height, width), deep or image.mode in _GREY, levels)


def decode(
    file: str | io.BufferedIOBase,
    name: str,
    shape: tuple[int, int, int],
    options: PictureOptions,
    place: tuple[float, float] = CENTRE,
) -> np.ndarray:
    """One picture (channel, height, width) fitted to `shape`: uint8, to be read as v/255, where it
    has no more than 8 bits; else float32 in [0, 1].

    `place` in [0, 1] says where along the slack a crop lies. Raises `BrokenPicture`, which calls
    it `name`.
    """
    channels, height, width = shape
    with _opened(file, name) as image:
        whole = _draft(image, (width, height))
        with _ROOM if image.width * image.height > _LARGE else nullcontext():
            image.load()
            turned = _UPRIGHT.get(_orientation(image))
            image = image if whole in (None, image.size) else image.crop((0, 0, *whole))
            upright = image if turned is None else image.transpose(turned)
            converted, full = _converted(upright, channels, name)
            stretch = options.crop == "stretch"
            small = fitted(converted, (width, height), stretch, place)
    return _pixels(small, channels, full, options.background)


def unit(values: np.ndarray, out: np.ndarray) -> np.ndarray:
    """What `decode` gives as float32 in [0, 1], written to `out`."""
    if values.dtype == np.uint8:
        return np.divide(values, np.float32(255), out=out)
    np.copyto(out, values)
    return out


@contextmanager
def _opened(file: str | io.BufferedIOBase, name: str) -> Iterator[Image.Image]:
    """The open picture; whatever Pillow raises while it is open becomes a `BrokenPicture`.

    Pillow answers hostile bytes with almost any exception (struct.error, SyntaxError, KeyError,
    zlib.error …), so the net is as wide as it can be and nothing but Pillow runs inside. It is
    given a stream and never a path: a path it may map into memory, and a mapped file that is cut
    short meanwhile ends the process.
    """
    try:
        with (
            plain(file) if isinstance(file, str) else nullcontext(file) as stream,
            _recognised(stream) as image,
        ):
            yield image
    except BrokenPicture:
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) in _TROUBLE:
            raise UserError(
                f"{name} cannot be read just now: {cause(error)}; mend that and try again."
            ) from error
        raise BrokenPicture(name, _reason(error)) from error


def _recognised(stream: io.BufferedIOBase) -> Image.Image:
    try:
        return Image.open(stream, formats=_formats())
    except Image.UnidentifiedImageError as error:
        stream.seek(0)
        known = "its content is of no picture format known"
        raise OSError(known if stream.read(1) else "it is empty (0 bytes)") from error


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with; it refuses names it does not know."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    said = shown((str(error).strip().splitlines() or [""])[0].rstrip(". "))
    plainly = isinstance(error, (OSError, Image.DecompressionBombError))
    return said if said and plainly else f"{said} ({type(error).__name__})".strip()


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none or it makes no sense."""
    # Asking a PNG without an EXIF chunk would decode all of it.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a spoilt EXIF block does not spoil the picture
        return 1


def _draft(image: Image.Image, size: tuple[int, int]) -> tuple[int, int] | None:
    """Let JPEG decode at 1/2, 1/4 or 1/8 where twice the size needed still remains.

    How many whole pixels it then has: a last row or column that stands for less than the others
    would stretch all the rest. None for other formats.
    """
    if image.format not in ("JPEG", "MPO"):
        return None
    width, height = image.size
    size = size[::-1] if _orientation(image) in _SIDEWAYS else size
    image.draft(None, (2 * size[0], 2 * size[1]))
    scale = round(width / image.width)
    return (width // scale, height // scale)


def _converted(image: Image.Image, channels: int, name: str) -> tuple[Image.Image, float]:
    """The picture in mode L, LA, RGB, RGBA or F, and the value that stands for white."""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        values = np.asarray(image, dtype=np.float32)
        full = 1.0 if image.mode == "F" else 65535.0
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= full):  # also true of NaN
            raise BrokenPicture(name, f"its values run from {low:g} to {high:g}, not 0 to {full:g}")
        return Image.fromarray(values), full
    grey, clear = channels == 1 or image.mode in _GREY, image.has_transparency_data
    if clear and image.mode not in ("LA", "RGBA"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    elif image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
        image = image.convert("RGB")  # CMYK, YCbCr, LAB … know no other way
    wanted = ("LA" if clear else "L") if grey else ("RGBA" if clear else "RGB")
    return (image if image.mode == wanted else image.convert(wanted)), 255.0


def _pixels(image: Image.Image, channels: int, full: float, background: float) -> np.ndarray:
    """The picture (channel, height, width): uint8, or float32 in [0, 1], on its grid of levels."""
    values = np.asarray(image)
    values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    if image.mode == "F":  # resizing overshoots, and leaves the grid
        values = np.clip(values if full == 1 else np.rint(values), 0, full) / np.float32(full)
    alpha = np.full_like(values[:1], 1 if image.mode == "F" else 255)
    if image.mode in ("LA", "RGBA"):
        values, alpha = values[:-1], values[-1:]
        if channels != 4:
            cover, behind = alpha.astype(np.float32) / 255, np.float32(background * 255)
            values = np.rint(cover * values + (1 - cover) * behind).astype(np.uint8)
    if channels > 1 and len(values) == 1:
        values = np.repeat(values, 3, axis=0)
    if channels == 4:
        values = np.concatenate([values, alpha])
    return np.ascontiguousarray(values)
