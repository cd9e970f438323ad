"""Autoregression in every order at once: hide some tokens, guess them from the others."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Categorical
from hush.objectives.base import Loss, Objective
from hush.processes import Moment, Process
from hush.processes.places import drawn, mask_of
from hush.rng import Streams
from hush.schedules import Level, Schedule
from hush.tensors import Condition

Tokens = Int64[Tensor, "batch *event"]


@dataclass(frozen=True)
class OrderAgnostic(Objective):
    """The mean of -log p(x_k | shown) over n hidden tokens, n = ⌈(1 - κ_t) D⌉ of D drawn at random.

    On the chain `absorbing_betas(D)` every n from 1 to D is as likely, and the expectation is the
    bound on -log p(x_0)/D over all orders, E_{t ~ U{1…D}} 1/(D - t + 1) Σ_{k ∈ σ(≥t)}
    -log p(x_k | x_σ(<t)), in nats per element. Where there is a `mask`, D counts what it holds, and
    the rest is always shown. The process's kernel is `Absorbing`.

    Hoogeboom et al. 2022, "Autoregressive diffusion models".
    """

    cite: ClassVar[str] = (
        "Hoogeboom, Gritsenko, Bastings, Poole, van den Berg, Salimans 2022, Autoregressive "
        "diffusion models"
    )

    def at(
        self,
        denoiser: Denoiser,
        x_0: Tokens,
        t: Moment,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        process = denoiser.process
        hides = torch.ones_like(x_0, dtype=torch.bool) if mask is None else mask.expand_as(x_0)
        share = 1.0 - process.schedule.level(t).alpha ** 2
        count = (share * hides.flatten(1).sum(1) - 1e-9).ceil().long()
        x_t = torch.where(drawn(hides, count, rng), mask_of(process), x_0)
        level = _hiding(process.schedule, count / math.prod(x_0.shape[1:]))
        return self.judge(process, denoiser(x_t, level, cond), x_0, x_t, level, mask)

    def judge(
        self,
        process: Process,
        belief: Categorical,
        x_0: Any,
        x_t: Any,
        level: Level,
        mask: Tensor | None = None,
    ) -> Loss:
        guessed = (x_t == mask_of(process)).flatten(1)
        return (belief.error(x_0).flatten(1) * guessed).sum(1) / guessed.sum(1).clamp(min=1)


@torch.no_grad()
def order_losses(
    denoiser: Denoiser, x_0: Tokens, order: Tokens, cond: Condition | None = None
) -> Float[Tensor, "batch shown"]:
    """The mean of -log p(x_k | shown) over the tokens still hidden, when 0, 1, … D - 1 are shown:
    D evaluations of the network, nats per token. `order` is the place of each token in the order in
    which they are shown (`random_order`).

    Summed over D it bounds -log p(x_0), in the mean over orders, and is equal to it there where the
    belief is right. Its mean over data is what `samplers.group_sizes` divides tokens by.
    """
    mask, elements = mask_of(denoiser.process), math.prod(x_0.shape[1:])
    losses = []
    for shown in range(elements):
        guessed = order >= shown
        share = torch.full((len(x_0),), 1.0 - shown / elements, device=x_0.device)
        level = _hiding(denoiser.process.schedule, share)
        belief = denoiser(torch.where(guessed, mask, x_0), level, cond)
        losses.append((belief.error(x_0) * guessed).flatten(1).sum(1) / (elements - shown))
    return torch.stack(losses, 1)


def random_order(event: tuple[int, ...], rng: Streams) -> Tokens:
    """The place of each token in an order of its sample's own, every order as likely (one draw)."""
    return rng.uniform(event).flatten(1).argsort(1).argsort(1).reshape(len(rng), *event)


def _hiding(schedule: Schedule, share: Float[Tensor, " batch"]) -> Level:
    """The level at which such a share of the tokens is hidden on average, 1 - κ_t."""
    share = share.double()
    return schedule.level(schedule.time(torch.log1p(-share) - share.log()))
