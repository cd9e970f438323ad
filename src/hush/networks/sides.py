"""What lies on either side of every step along a path: the values known before it and after it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hush.networks.series import Known


class Conditions(NamedTuple):
    """Known values, the nearest first: of every channel its own, and how far away it is."""

    value: Float[Tensor, "step agent batch channel"]
    """0 where there is none."""
    gap: Float[Tensor, "step agent batch channel"]
    there: Bool[Tensor, "step agent batch channel"]


class Steps(NamedTuple):
    """The steps along a path. The first comes from nowhere: it has no length and nothing before
    it."""

    length: Float[Tensor, "step batch 1"]
    covariates: Float[Tensor, "step batch feature"]
    """Of the stamp that it is on the way to."""
    earlier: Conditions
    """Known when it sets out, and the time since."""
    later: Conditions
    """Known from where it arrives, and the time until then."""
    goal: Float[Tensor, "step batch channel"]
    """What is known where it arrives."""
    met: Bool[Tensor, "step batch channel"]
    """Whether anything is."""


def steps(told: Known, passed: Known, substeps: int, earlier: int, later: int) -> Steps:
    """The steps along the stamps of windows, one to the first and `substeps` to each other.

    What is `told` lies before each, what is `passed` after it. No step's earlier conditions hold
    what comes later, nor the other way about.
    """
    length, first = told.time.shape[1], torch.zeros(1, dtype=torch.long, device=told.time.device)
    stamp = torch.arange(1, length, device=first.device).repeat_interleave(substeps)
    counted = torch.arange(1, substeps + 1, dtype=torch.float64, device=first.device)
    share = (counted / substeps).repeat(length - 1)
    stamp, share = torch.cat((first, stamp)), torch.cat((first + 1.0, share))
    before, time = (stamp - 1).clamp(min=0), told.time.T
    arrives = torch.lerp(time[before], time[stamp], share.unsqueeze(1).to(time))
    leaves = torch.cat((arrives[:1], arrives[:-1]))
    past = _along(_latest(told, earlier), before)
    past = Conditions(past[0], leaves[:, None, :, None] - past[1], past[2])
    past.there[0] = False
    future = _along([part.flip(2) for part in _latest(_reversed(passed), later)], stamp)
    gap = (future[1] - arrives[:, None, :, None]).clamp(min=0.0)
    met = (share == 1.0)[:, None, None] & passed.seen.permute(2, 0, 1)[stamp]
    return Steps(
        (arrives - leaves).unsqueeze(2),
        told.covariates.permute(2, 0, 1)[stamp],
        Conditions(*_blanked(past)),
        Conditions(*_blanked(Conditions(future[0], gap, future[2]))),
        passed.values.permute(2, 0, 1)[stamp],
        met,
    )


def _latest(known: Known, count: int) -> list[Tensor]:
    """(value, time, there), each (batch, channel, length, count): the last `count` known values at
    or before every stamp, the latest first."""
    _, channels, length = known.seen.shape
    place = torch.arange(length, device=known.seen.device)
    order = torch.where(known.seen, place, length).argsort(2)
    back = torch.arange(1, count + 1, device=place.device)
    rank = known.seen.cumsum(2).unsqueeze(3) - back
    which = order.gather(2, rank.clamp(min=0).flatten(2))
    value = known.values.gather(2, which)
    when = known.time.unsqueeze(1).expand(-1, channels, -1).gather(2, which)
    return [value.unflatten(2, (length, count)), when.unflatten(2, (length, count)), rank >= 0]


def _reversed(known: Known) -> Known:
    values, seen, time, covariates = known
    return Known(values.flip(2), seen.flip(2), time.flip(1), covariates.flip(2))


def _along(parts: list[Tensor], stamp: Tensor) -> list[Tensor]:
    """(step, agent, batch, channel), each step as its stamp."""
    return [part.permute(2, 3, 0, 1)[stamp] for part in parts]


def _blanked(found: Conditions) -> tuple[Tensor, Tensor, Tensor]:
    there = found.there
    return torch.where(there, found.value, 0.0), torch.where(there, found.gap, 0.0), there
