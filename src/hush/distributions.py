"""Distributions over states: what forward laws and denoisers answer with."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hush.rng import Streams
from hush.tensors import Number, expand


@dataclass(frozen=True)
class Gaussian:
    """N(mean, variance), independent over elements; variance 0 is a point.

    `mean` has shape (batch, *event); `variance` is a number, (batch,), or broadcasts over `mean`.
    """

    mean: Float[Tensor, " batch *event"]
    variance: Number = 0.0

    def sample(self, rng: Streams) -> Float[Tensor, " batch *event"]:
        """mean + √variance ε, with the noise of each sample's own stream; a point draws nothing."""
        if self.is_point:
            return self.mean
        noise = rng.normal(tuple(self.mean.shape[1:]), self.mean.dtype)
        return torch.addcmul(self.mean, noise, self.spread**0.5)

    def log_prob(self, x: Float[Tensor, " batch *event"]) -> Float[Tensor, " batch"]:
        """log N(x; mean, variance) in nats, summed over the event."""
        variance = self.spread
        density = -0.5 * (self.error(x) / variance + (math.tau * variance).log())
        return density.flatten(1).sum(1)

    def error(self, x: Float[Tensor, " batch *event"]) -> Float[Tensor, " batch *event"]:
        """The squared error of the mean, element by element."""
        return (x - self.mean) ** 2

    def toward(self, other: "Gaussian", weight: float) -> "Gaussian":
        """The belief moved from here to `other` (weight 1) or past it: what guidance does."""
        return type(self)(torch.lerp(self.mean, other.mean, weight), other.variance)

    def halves(self) -> "tuple[Gaussian, Gaussian]":
        """The beliefs of the two halves of a doubled batch."""
        first, second = self.mean.chunk(2)
        if isinstance(self.variance, Tensor) and self.variance.ndim:
            low, high = self.variance.chunk(2)
        else:
            low = high = self.variance
        return type(self)(first, low), type(self)(second, high)

    @property
    def is_point(self) -> bool:
        """Whether all the mass is at the mean."""
        return isinstance(self.variance, float) and self.variance == 0.0

    @property
    def spread(self) -> Tensor:
        """The variance as a tensor that broadcasts over the mean."""
        variance = expand(self.variance, self.mean)
        return torch.as_tensor(variance, dtype=self.mean.dtype, device=self.mean.device)


def kl(q: Gaussian, p: Gaussian) -> Float[Tensor, " batch"]:
    """KL(q ‖ p) = ½ Σ [log(v_p/v_q) - 1 + (v_q + (m_q - m_p)²)/v_p] in nats, per sample."""
    v_q, v_p = q.spread, p.spread
    terms = (v_p / v_q).log() - 1.0 + (v_q + p.error(q.mean)) / v_p
    return 0.5 * terms.flatten(1).sum(1)
