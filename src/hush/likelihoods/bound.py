"""The variational bound of a chain, for numbers, tokens and both: one function for every process.

-log p(x_0) ≤ KL(q(x_1 | x_0) ‖ prior)                     what the noise still shows
            + Σ E KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t))     what each step costs
            - E log p(x_0 | x_t of the last step)          what the data cost at the end

Ho et al. 2020, eq. 5. The chain is whatever levels are walked: fewer steps are another, shorter
chain with its own bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Distribution, kl
from hush.errors import UserError
from hush.likelihoods.decoders import Decoder, Density
from hush.processes import Process
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition

Nats = Float[Tensor, " batch"]


@dataclass(frozen=True)
class Bound:
    """The terms of a bound on -log p(x_0), in nats per sample.

    `steps` (steps, batch) goes from the noise down; `levels` are where its steps begin.
    """

    prior: Nats
    steps: Float[Tensor, "step batch"]
    data: Nats
    levels: tuple[Level, ...] = ()

    @property
    def total(self) -> Nats:
        """The bound on -log p(x_0)."""
        return self.prior + self.steps.sum(0) + self.data


def bound(
    denoiser: Denoiser,
    x_0: Any,
    levels: Sequence[Level],
    rng: Streams,
    cond: Condition | None = None,
    decoder: Decoder = Density(),
) -> Bound:
    """The bound of the chain that walks `levels` (noise first, as `grid(schedule)` gives them), one
    noised state drawn per level and sample: an unbiased estimate of each term.

    Where the last level is the data, the last step's law is decoded; a belief without a variance
    gets there that of the step before (β̃_2 for β̃_1, Ho et al. 2020). A walk that ends on a noised
    state has that state decoded.

    Raises:
        UserError: the only step of a chain ends at the data and the belief has no variance.
    """
    process = denoiser.process
    last = len(levels) - 1 if levels[-1].sigma > 0.0 else len(levels) - 2
    steps = []
    for place, (t, s) in enumerate(pairwise(levels[: last + 1])):
        x_t = process.marginal(x_0, t).sample(rng.next(place))
        steps.append(step(process, denoiser(x_t, t, cond), x_0, x_t, s, t))
    x_t = process.marginal(x_0, levels[last]).sample(rng.next(last))
    if last == len(levels) - 1:
        law = decoded(denoiser, x_t, levels[last], cond, decoder)
    else:
        law = _ended(denoiser, x_t, levels, cond, decoder)
    prior = kl(process.marginal(x_0, levels[0]), process.prior(*like(x_0)))
    terms = torch.stack(steps) if steps else prior.new_zeros(0, len(prior))
    return Bound(prior, terms, -decoder(law, x_0), tuple(levels[:last]))


def step(process: Process, belief: Distribution, x_0: Any, x_t: Any, s: Level, t: Level) -> Nats:
    """KL(q(x_s | x_t, x_0) ‖ p(x_s | x_t)), p the average of q over the belief."""
    truth = process.reverse(process.certain(x_0), x_t, s, t)
    return kl(truth, process.reverse(belief, x_t, s, t))


def decoded(
    denoiser: Denoiser, x_t: Any, t: Level, cond: Condition | None, decoder: Decoder
) -> Distribution:
    """The law of x_0 that is decoded from a noised state: the belief, with the variance of what the
    state itself says where it has none."""
    seen = denoiser.process.seen(x_t, t)
    return seen if decoder.seen else denoiser(x_t, t, cond).blurred_like(seen)


def _ended(
    denoiser: Denoiser, x_t: Any, levels: Sequence[Level], cond: Condition | None, decoder: Decoder
) -> Distribution:
    """The law of x_0 that the last step of a chain down to the data draws from."""
    process, (t, clean) = denoiser.process, levels[-2:]
    if decoder.seen:
        return process.seen(x_t, t)
    belief = denoiser(x_t, t, cond)
    law = process.reverse(belief, x_t, clean, t)
    if len(levels) > 2:
        return law.blurred_like(process.reverse(belief, x_t, t, levels[-3]))
    if law.is_point:
        raise UserError(
            "The bound of a single step needs a belief with a variance, got a point: give the "
            "denoiser one, such as variances.Unit()."
        )
    return law


def like(x_0: Any) -> tuple[Any, Tensor]:
    """What `prior` asks for: the shape of a state, and a tensor of its type."""
    if isinstance(x_0, dict):
        return {name: tuple(x.shape) for name, x in x_0.items()}, next(iter(x_0.values()))
    return tuple(x_0.shape), x_0
