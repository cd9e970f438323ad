"""Pictures out: one file, a grid, a strip of moments."""

import base64
import io
import math
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from hush.data.words import shown
from hush.errors import UserError

GAP = 0.5  # mid-grey: neither a black nor a white picture runs into it
VISIBLE = 32  # pixels a picture should span to be seen


def save(
    image: Float[Tensor, "channel height width"],
    path: str | os.PathLike[str],
    levels: int | None = 256,
    overwrite: bool = False,
) -> Path:
    """Write one picture, values in [0, 1] (clamped), 1, 3 or 4 channels; its ending says the kind.

    Grey with more than 256 levels, or continuous (None), becomes a 16-bit PNG. The file is
    written aside and then put in place, so it is whole or not there. Missing folders are made.
    Raises `UserError` when the file exists (unless `overwrite`) or cannot be written.
    """
    path, name = Path(path), shown(path)
    if image.ndim != 3 or image.shape[0] not in (1, 3, 4):
        raise UserError(
            f"{name}: got an array of shape {tuple(image.shape)}; expected (channel, height, "
            "width) with 1, 3 or 4 channels."
        )
    if not bool(torch.isfinite(image).all()):
        raise UserError(f"{name}: the picture has values that are not finite; expected [0, 1].")
    if not overwrite and os.path.lexists(path):
        raise UserError(f"{name} exists; name another file, or pass overwrite.")
    deep = image.shape[0] == 1 and (levels is None or levels > 256) and _kind(path) == "PNG"
    content = _encoded(image, path, deep)
    aside = path.with_name(f".hush-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "xb") as file:
            file.write(content)
        os.replace(aside, path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(
            f"{name} cannot be written: {reason}; make room or name another."
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink()
    return path


def grid(
    images: Float[Tensor, "count channel height width"],
    columns: int | None = None,
    pad: int = 1,
    zoom: int | None = None,
) -> Float[Tensor, "channel all_height all_width"]:
    """Pictures side by side in rows, `pad` pixels of mid-grey between and around them.

    `columns` is about the square root of the count by default. Each pixel becomes a square of
    `zoom`; by default as few as make a picture at least 32 pixels wide and high.
    """
    count, channels, height, width = images.shape
    if count < 1 or (columns is not None and columns < 1):
        raise UserError(f"grid of {count} pictures in {columns} columns: expected at least one.")
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    zoom = zoom or math.ceil(VISIBLE / min(height, width))
    height, width, rows = height * zoom, width * zoom, -(-count // columns)
    canvas = images.new_full(
        (channels, rows * (height + pad) + pad, columns * (width + pad) + pad), GAP
    )
    if channels == 4:
        canvas[3] = 1
    large = images.repeat_interleave(zoom, dim=2).repeat_interleave(zoom, dim=3)
    for i, picture in enumerate(large):
        top, left = pad + i // columns * (height + pad), pad + i % columns * (width + pad)
        canvas[:, top : top + height, left : left + width] = picture
    return canvas


def strip(
    moments: Sequence[Float[Tensor, "count channel height width"]],
    pad: int = 1,
    zoom: int | None = None,
) -> Float[Tensor, "channel all_height all_width"]:
    """A grid with one row per sample and one column per moment, such as the steps of a walk."""
    if not moments:
        raise UserError("strip of no moments: expected at least one.")
    return grid(torch.stack(list(moments), dim=1).flatten(0, 1), len(moments), pad, zoom)


def png(image: Float[Tensor, "channel height width"]) -> bytes:
    """A picture as the bytes of a PNG of 256 levels; what is no number is black."""
    return _encoded(image.nan_to_num(0.0), Path("picture.png"), deep=False)


def address(picture: bytes, kind: str = "png") -> str:
    """A picture as the address of itself, which a page can show without loading anything."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _kind(path: Path) -> str:
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise UserError(
            f"{shown(path)}: no picture format has the ending '{path.suffix}'; use .png."
        )
    return kind


def _encoded(image: Tensor, path: Path, deep: bool) -> bytes:
    full, kind = (65535, np.uint16) if deep else (255, np.uint8)
    values = image.detach().to("cpu", torch.float64).clamp(0, 1).numpy()
    pixels = np.ascontiguousarray(np.rint(values * full).astype(kind).transpose(1, 2, 0))
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels[..., 0] if len(values) == 1 else pixels).save(stream, _kind(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{shown(path)} cannot be written: {error}; use .png.") from error
    return stream.getvalue()
