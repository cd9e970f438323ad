"""Dequantisation: a density of the continuum bounds the probability of data on levels.

a level x_0 ──► x = x_0 + Δ (u - ½), somewhere in its bin ──► log P(x_0) ≥ E[log p(x) + log_weight]
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from hush.errors import UserError
from hush.rng import Streams

State = Float[Tensor, " batch *event"]
Each = Float64[Tensor, " batch"]
LogDensity = Callable[[Tensor, Streams], Tensor]


class Dequantiser(nn.Module, ABC):
    """A law q(u | x_0) on the unit bin around every level. A subclass writes `place`.

    A level's probability is the integral of the density over its bin, so with the spacing Δ of the
    levels, in units of x_0, and D elements, for every q

        P(x_0) = Δ^D ∫ p(x_0 + Δ (u - ½)) du = E_q[p(x) Δ^D/q(u | x_0)]
        log P(x_0) ≥ E_q[log p(x) + D log Δ - log q(u | x_0)].

    Theis, van den Oord and Bethge 2016, "A note on the evaluation of generative models",
    section 3.1; Ho et al. 2019, "Flow++", section 3.1.
    """

    @abstractmethod
    def place(self, x_0: State, rng: Streams) -> tuple[Float64[Tensor, " batch *event"], Each]:
        """u in (0, 1) of every element, and log q(u | x_0) (batch,) in nats. One draw."""

    def forward(self, x_0: State, rng: Streams, spacing: float) -> tuple[State, Each]:
        """x within the bins of the levels x_0, and its log_weight = D log Δ - log q(u | x_0)."""
        if not spacing > 0.0:
            raise UserError(f"The spacing of the levels must be above 0, got {spacing:g}.")
        u, log_q = self.place(x_0, rng)
        x = (x_0 + spacing * (u - 0.5)).to(x_0.dtype)
        return x, math.prod(x_0.shape[1:]) * math.log(spacing) - log_q

    def bound(self, log_prob: LogDensity, x_0: State, rng: Streams, spacing: float) -> Each:
        """log p(x) + log_weight from one draw of u, in nats: its mean is at most log P(x_0), and
        its exponential's mean is P(x_0). `log_prob(x, rng)` gives log p(x) (batch,)."""
        x, log_weight = self(x_0, rng, spacing)
        return log_prob(x, rng.next()) + log_weight


class Uniform(Dequantiser):
    """u is uniform: q = 1."""

    cite: ClassVar[str] = (
        "Theis, van den Oord, Bethge 2016, A note on the evaluation of generative models"
    )

    def place(self, x_0: State, rng: Streams) -> tuple[Float64[Tensor, " batch *event"], Each]:
        u = rng.uniform(tuple(x_0.shape[1:]))
        return u, u.new_zeros(len(u))


class Variational(Dequantiser):
    """u = sigmoid(m(x_0) + s(x_0) l) with l logistic, each element its own: log q(u | x_0) =
    Σ log [l'(1 - l')/(s u (1 - u))], l' = sigmoid(l).

    `network` maps x_0 (batch, channel, *rest) to (batch, 2 channel, *rest), m and then log s. Where
    it answers 0 this is uniform dequantisation, so begin with a last layer of zeros. With m and s
    that know x_0 the mass goes where the density has it, and the bound closes: see `fit`.

    After Flow++, whose q is a deeper flow; the logistic is what makes the uniform law its case 0.
    """

    cite: ClassVar[str] = (
        "Ho et al. 2019, Flow++: improving flow-based generative models with variational "
        "dequantization and architecture design"
    )

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def place(self, x_0: State, rng: Streams) -> tuple[Float64[Tensor, " batch *event"], Each]:
        answer = self.network(x_0).double()
        if answer.shape != (wanted := (len(x_0), 2 * x_0.shape[1], *x_0.shape[2:])):
            raise UserError(
                f"The network of a dequantiser gives m and log s, {wanted} for x_0 of shape "
                f"{tuple(x_0.shape)}, got {tuple(answer.shape)}: double its channels."
            )
        shift, log_scale = answer.chunk(2, 1)
        logistic = rng.uniform(tuple(x_0.shape[1:])).logit()
        z = shift + log_scale.exp() * logistic
        log_q = _log_slope(logistic) - _log_slope(z) - log_scale
        return z.sigmoid(), log_q.flatten(1).sum(1)


def _log_slope(z: Tensor) -> Tensor:
    """log of the sigmoid's derivative."""
    return logsigmoid(z) + logsigmoid(-z)


def fit(
    dequantiser: Dequantiser,
    log_prob: LogDensity,
    batches: Iterable[Tensor],
    spacing: float,
    seed: int = 0,
    learning_rate: float = 1e-3,
) -> list[float]:
    """Train a dequantiser to raise the bound, one step of Adam for each batch of levels x_0; the
    mean bound of each batch in nats, as it was before its step.

    `log_prob(x, rng)`, in nats (batch,), must be differentiable in x: a bound of the model, not the
    solved `Flow`. Its own weights stay as they are, gradients too.
    """
    weights = list(dequantiser.parameters())
    adam = torch.optim.Adam(weights, lr=learning_rate)
    bounds, seen = [], 0
    for x_0 in batches:
        rng = Streams.of(seed, len(x_0), start=seen, device=x_0.device)
        bound = dequantiser.bound(log_prob, x_0, rng, spacing).mean()
        adam.zero_grad()
        (-bound).backward(inputs=weights)
        adam.step()
        bounds.append(bound.item())
        seen += len(x_0)
    return bounds
