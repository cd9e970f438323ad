"""What the tests of data share: pictures to write, and how a refusal must read."""

import numpy as np
import pytest
from jaxtyping import TypeCheckError
from PIL import Image

from hush.errors import UserError


def noise(*shape, seed=0, high=256, dtype=np.uint8):
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def only(source):
    return source.read([0])["image"][0].numpy()


def planes(array, full=255):
    array = array if array.ndim == 3 else array[..., None]
    return array.transpose(2, 0, 1).astype(np.float32) / np.float32(full)


def refused(action, *words):
    with pytest.raises((UserError, TypeCheckError)) as caught:
        action()
    if isinstance(caught.value, TypeCheckError):
        return  # run under beartype, which got there first
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    message.encode()  # can be printed


# How a camera turned that way stores the upright picture (EXIF 2.32, tag 0x0112).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
