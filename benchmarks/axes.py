"""Along what a training step is measured as it grows, and how hush chooses on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional

from hush.networks import Backbone, layers

HEAD = 64  # features of an attention head


def two_products(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention by way of the table of all pairs of places."""
    return value @ ((query * HEAD**-0.5).mT @ key).softmax(-1).mT


def one_kernel(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention that never holds the table."""
    rows = (part.mT.contiguous() for part in (query, key, value))
    return functional.scaled_dot_product_attention(*rows).mT


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Kind = tuple[str, Attend]  # the precision of a step, and how it attends
KINDS: dict[str, Kind] = {"bf16": ("bf16", layers.attend), "float32": ("no", layers.attend)}
WAYS: dict[str, Kind] = {
    f"{attend.__name__.replace('_', ' ')}, {kind}": (precision, attend)
    for attend in (two_products, one_kernel)
    for kind, (precision, _) in KINDS.items()
}


@dataclass(frozen=True)
class Setting:
    """What a step is taken of."""

    shape: tuple[int, ...]
    batch: int
    backbone: Backbone


@dataclass(frozen=True)
class Axis:
    """What grows, what stays, and the powers of what grows that the work has."""

    name: str
    about: str
    values: tuple[int, ...]
    setting: Callable[[int], Setting]
    powers: tuple[int, ...]
    kinds: dict[str, Kind]
    each: int = 0  # how much of what grows makes one place that attends, if it makes any


def unet(width: int, *multipliers: int) -> Backbone:
    """A U-Net of a block a resolution, with attention at the last one."""
    last = (len(multipliers) - 1,)
    return Backbone(width=width, multipliers=multipliers, blocks=1, attention=last, dropout=0.0)


DIT = Backbone(network="dit", width=128, depth=2, patch=1, head=HEAD, dropout=0.0)
AXES = {
    "pixels": Axis(
        "pixels a picture",
        "8 square pictures, U-Net of width 32, attention at a quarter of the side",
        tuple(side**2 for side in (16, 32, 64, 128)),
        lambda x: Setting((3, isqrt(x), isqrt(x)), 8, unet(32, 1, 2, 2)),
        (1, 2),
        KINDS,
        16,
    ),
    "width": Axis(
        "width, channels",
        "8 pictures of 32x32, U-Net of this width and twice it below, attention at 8x8",
        (16, 32, 64, 128, 256),
        lambda x: Setting((3, 32, 32), 8, unet(x, 1, 2, 2)),
        (1, 2),
        KINDS,
    ),
    "batch": Axis(
        "pictures a step",
        "pictures of 32x32, U-Net of width 32, attention at 8x8",
        (1, 4, 16, 64, 128),
        lambda x: Setting((3, 32, 32), x, unet(32, 1, 2, 2)),
        (1,),
        KINDS,
    ),
    "places": Axis(
        "places that attend to each other",
        "2 pictures, a place for every pixel, DiT of width 128 and 2 layers, heads of 64",
        tuple(side**2 for side in (8, 16, 32, 48, 64)),
        lambda x: Setting((3, isqrt(x), isqrt(x)), 2, DIT),
        (1, 2),
        WAYS,
        1,
    ),
    "length": Axis(
        "length of a series",
        "4 series of one channel, 1-D U-Net of width 32, attention at a 16th of the length",
        (256, 1024, 4096, 16384, 65536),
        lambda x: Setting((1, x), 4, unet(32, 1, 1, 2, 2, 2)),
        (1, 2),
        KINDS,
        16,
    ),
    "voxels": Axis(
        "voxels a cube",
        "2 cubes of 8, 12, 16, 24, 32 a side, 3-D U-Net of width 32, attention at a quarter",
        tuple(side**3 for side in (8, 12, 16, 24, 32)),
        lambda x: Setting((1, *(round(x ** (1 / 3)),) * 3), 2, unet(32, 1, 2, 2)),
        (1, 2),
        KINDS,
        64,
    ),
    "processes": Axis(
        "processes",
        "32 pictures of 32x32 in all, U-Net of width 64, attention at 8x8, bf16, torchrun and gloo",
        (1, 2, 4),
        lambda _: Setting((3, 32, 32), 32, unet(64, 1, 2, 2)),
        (-1,),
        KINDS,
    ),
}


def switches(axis: Axis) -> dict[str, int]:
    """From where on hush leaves attention to the one kernel, of each precision, on the axis."""
    types = {"bf16": torch.bfloat16, "float32": torch.float32} if axis.each else {}
    far = {
        kind: next(p for p in range(64, 1 << 14, 16) if fused(p, dtype))
        for kind, dtype in types.items()
    }
    return {kind: p * axis.each for kind, p in far.items() if p * axis.each < axis.values[-1]}


def fused(places: int, dtype: torch.dtype) -> bool:
    """Whether hush leaves attention between so many places to the one kernel."""
    query = torch.zeros(1, 1, HEAD, places, dtype=dtype)
    kernel = functional.scaled_dot_product_attention
    with mock.patch.object(functional, kernel.__name__, wraps=kernel) as asked:
        layers.attend(query, query, query)
    return asked.called
