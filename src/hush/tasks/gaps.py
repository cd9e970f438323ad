"""Gaps in series: what training hides of what is known, true where it is hidden."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hush.rng import Streams
from hush.tasks.masks import stretch

Mask = Bool[Tensor, "batch channel length"]  # of what is known, of what is hidden


def scattered(known: Mask, rng: Streams) -> Mask:
    """A share U(0, 1) of the known values, at least one, anywhere (two draws)."""
    return share_of(known, rng.uniform(), rng.next())


def share_of(known: Mask, share: Float[Tensor, " batch"], rng: Streams) -> Mask:
    """That share of the known values, at least one, anywhere (one draw)."""
    count = (share * known.sum((1, 2))).round().clamp(min=1).reshape(-1, 1)
    u = rng.uniform(tuple(known.shape[1:])).where(known, 1.0).flatten(1)
    return (u.argsort(1).argsort(1) < count).reshape(known.shape) & known


def as_missing(known: Mask, rng: Streams) -> Mask:
    """Where values are missing in the window itself, moved along it by any number of stamps, the
    end going on at the start; where that hides nothing, `scattered` (three draws).

    CSDI takes the pattern of another window. This one is a function of the window alone, so no
    sample depends on which others are in its batch.
    """
    length = known.shape[2]
    shift = 1 + (rng.uniform((1, 1)) * (length - 1)).long()
    place = (torch.arange(length, device=known.device) + shift) % length
    moved = known & ~known.gather(2, place.expand(known.shape))
    other = scattered(known, rng.next())
    return torch.where(moved.any(2, keepdim=True).any(1, keepdim=True), moved, other)


def mixed(known: Mask, rng: Streams) -> Mask:
    """`scattered` or `as_missing`, half of each (four draws)."""
    coin = rng.uniform((1, 1)) < 0.5
    return torch.where(coin, scattered(known, rng.next()), as_missing(known, rng.next()))


def blackout(known: Mask, rng: Streams) -> Mask:
    """A stretch of any length, anywhere, of all channels (one draw)."""
    u = rng.uniform((2,))
    return stretch(u[:, 0], u[:, 1], known.shape[2]).unsqueeze(1) & known


def stretches(known: Mask, rng: Streams) -> Mask:
    """A stretch of each channel, as long as the others', each anywhere (one draw)."""
    _, channels, length = known.shape
    u = rng.uniform((1 + channels,))
    share = u[:, :1].expand(-1, channels)
    parts = stretch(share.flatten(), u[:, 1:].flatten(), length)
    return parts.reshape(known.shape) & known


HIDE: dict[str, Callable[[Mask, Streams], Mask]] = {
    "random": scattered,
    "historical": as_missing,
    "mix": mixed,
    "blackout": blackout,
    "stretches": stretches,
}
