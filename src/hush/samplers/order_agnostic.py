"""Tokens shown a few at a time, in a random order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.processes.places import drawn, mask_of
from hush.samplers.base import Sampler, State
from hush.samplers.grids import Given
from hush.schedules import Level
from hush.tensors import Condition


@dataclass(frozen=True)
class OrderAgnostic(Sampler):
    """At level s all but (1 - κ_s) D of the D tokens are shown: of those still hidden as many as
    that takes, drawn at random, each from its own belief given all that were shown before.

    `Ancestral` on the same process shows each token by the toss of a coin; here the groups have the
    sizes that the grid says, one token each on the chain `absorbing_betas(D)`, and `groups(sizes)`
    for any others. What is hidden is seen in the state: no memory is kept. The process's kernel is
    `Absorbing`. Hoogeboom et al. 2022, "Autoregressive diffusion models".
    """

    tokens: ClassVar[bool] = True
    cite: ClassVar[str] = (
        "Hoogeboom, Gritsenko, Bastings, Poole, van den Berg, Salimans 2022, Autoregressive "
        "diffusion models"
    )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        mask = mask_of(denoiser.process)
        belief = denoiser(state.x, state.t, cond)
        hidden = state.x == mask
        left = round((1.0 - s.alpha**2) * math.prod(state.x.shape[1:]))
        shown = drawn(hidden, hidden.flatten(1).sum(1) - left, state.rng.branch("order"))
        return state.moved(torch.where(shown, belief.sample(state.rng), state.x), s)


def groups(sizes: Sequence[int]) -> Given:
    """The grid that shows so many tokens at each step, on the chain `absorbing_betas(D)`, D their
    sum, or any schedule with κ_t = 1 - t."""
    left = torch.tensor([0, *sizes]).cumsum(0)
    return Given.at(tuple(((left[-1] - left) / left[-1].double()).tolist()))


def group_sizes(losses: Sequence[float], steps: int) -> tuple[int, ...]:
    """How many tokens to show at each of `steps` steps so that the samples are as likely as can be.

    `losses[n]` is the mean of -log p of a hidden token when n are shown (`order_losses`). A group
    of g after n costs g·losses[n], for its tokens do not see each other; dynamic programming finds
    the groups of least cost. Hoogeboom et al. 2022, after Watson et al. 2021, "Learning to
    efficiently sample from diffusion probabilistic models".

    >>> group_sizes([4.0, 2.0, 1.0, 1.0, 1.0], 3)
    (1, 1, 3)
    """
    count = len(losses)
    if not 1 <= steps <= count:
        raise UserError(f"{count} tokens can be shown in 1 to {count} steps, got {steps}.")
    place = torch.arange(count + 1, dtype=torch.float64)
    each = torch.tensor([*losses, math.inf], dtype=torch.float64)
    cost = (place - place[:, None]) * each[:, None]  # of a group from n (row) to m (column)
    cost = torch.where(place > place[:, None], cost, math.inf)
    best, befores = torch.where(place == 0.0, 0.0, math.inf), []
    for _ in range(steps):
        best, before = (best[:, None] + cost).min(0)
        befores.append(before)
    ends = [count]
    for before in reversed(befores):
        ends.append(int(before[ends[-1]]))
    return tuple(end - start for end, start in pairwise(ends))[::-1]
