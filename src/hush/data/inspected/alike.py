"""Pictures that are there more than once, to the pixel or nearly."""

from collections import defaultdict
from hashlib import blake2b

import torch
from jaxtyping import Float
from torch import Tensor

SIDE = 8  # of a thumbnail
NEAR = 0.05  # of its deviation: what a thumbnail changes by when a picture is saved as JPEG again
APART = 0.5  # of the distance that is usual from a picture to its nearest
FLAT = 0.02  # the least deviation: below it there is nothing in a picture to compare
FEW = 8  # pictures of which nothing is usual yet
LUMA = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)
_BLOCK = 1024


def same(digests: list[bytes]) -> list[list[int]]:
    """The places that hold the same, in groups of two or more.

    >>> same([b"a", b"b", b"a"])
    [[0, 2]]
    """
    places = defaultdict(list)
    for place, digest in enumerate(digests):
        places[digest].append(place)
    return [group for group in places.values() if len(group) > 1]


def digest(picture: Tensor) -> bytes:
    """Sixteen bytes that two pictures share when all their pixels are the same."""
    return blake2b(picture.contiguous().numpy().tobytes(), digest_size=16).digest()


def thumbnails(
    images: Float[Tensor, "picture channel height width"],
) -> Float[Tensor, "picture pixel"]:
    """Each picture as at most 8x8 means of its brightness (Rec. 601, which JPEG keeps best),
    around their mean, as a vector of length 1; shorter where it is flat."""
    weights = LUMA if images.shape[1] >= 3 else LUMA.sum(0, keepdim=True)
    grey = (weights * images[:, : len(weights)]).sum(1, keepdim=True)
    sides = [min(SIDE, side) for side in grey.shape[2:]]
    small = torch.nn.functional.adaptive_avg_pool2d(grey, sides).flatten(1)
    small = small - small.mean(1, keepdim=True)
    count = small.shape[1]
    return small / (small.norm(dim=1, keepdim=True)).clamp(min=FLAT * count**0.5)


def near(thumbs: Float[Tensor, "picture pixel"]) -> list[tuple[int, int]]:
    """Pairs i < j whose thumbnails differ by less than `NEAR` of their deviation and less than
    `APART` of the distance that is usual here; flat pictures are like none.

    Compared are all pairs, a block of rows at a time: n² / 2 products of 64 numbers.
    """
    flat = thumbs.norm(dim=1) < 0.5
    nearest, found = [], []
    for start in range(0, len(thumbs), _BLOCK):
        apart = (2.0 - 2.0 * thumbs[start : start + _BLOCK] @ thumbs.T).clamp(min=0.0).sqrt()
        own = torch.arange(len(apart))
        apart[own, own + start] = torch.inf
        apart[flat[start : start + _BLOCK]] = torch.inf
        apart[:, flat] = torch.inf
        nearest.append(apart.amin(1))
        pairs = (apart < NEAR).nonzero().tolist()
        found += [(start + i, j, float(apart[i, j])) for i, j in pairs if start + i < j]
    usual = float(torch.cat(nearest).median()) if len(thumbs) >= FEW else torch.inf
    return [(i, j) for i, j, distance in found if distance < APART * usual]
