"""Gaussian laws, of any noise."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hush.distributions.base import Distribution
from hush.errors import UserError
from hush.noise import NoiseLaw, White, with_density
from hush.rng import Streams
from hush.tensors import Number, Terms, expand, total


@dataclass(frozen=True)
class Gaussian(Distribution):
    """mean + √variance ε with unit noise ε: N(mean, variance Σ) where the noise law is Gaussian,
    independent over elements where it is white; variance 0 is a point.

    `mean` has shape (batch, *event); `variance` is a number, (batch,), or with white noise whatever
    broadcasts over `mean`. Other noise has one variance per sample: scaled element by element it
    would leave its space, and its density its closed form.

    The mean may be given as a sum, by `of`, which is added up where it is asked for: what wants a
    sum of its own with the mean in it takes its `terms`, and makes one sum of both.
    """

    mean: Float[Tensor, " batch *event"]
    variance: Number = 0.0
    noise: NoiseLaw = field(default_factory=White)

    @classmethod
    def of(cls, terms: Terms, variance: Number = 0.0, noise: NoiseLaw | None = None) -> "Gaussian":
        """The Gaussian whose mean is Σ c v."""
        made = object.__new__(cls)
        made.__dict__.update(terms=terms, variance=variance, noise=noise or White())
        made.__post_init__()
        return made

    def __getattr__(self, name: str) -> Any:
        """The mean where its terms are known, or the terms where the mean is."""
        if name == "mean" and "terms" in self.__dict__:
            self.__dict__["mean"] = total(self.terms)
        elif name == "terms" and "mean" in self.__dict__:
            self.__dict__["terms"] = ((1.0, self.mean),)
        else:
            raise AttributeError(f"A Gaussian has no {name}.")
        return self.__dict__[name]

    def __post_init__(self) -> None:
        if isinstance(self.noise, White) or not isinstance(self.variance, Tensor):
            return
        if math.prod(self.variance.shape[1:]) != 1:
            raise UserError(
                f"A Gaussian of {self.noise} has one variance per sample, got variances of shape "
                f"{tuple(self.variance.shape)}: give a number or one for each of the batch, or "
                "use White() noise."
            )

    def sample(self, rng: Streams) -> Float[Tensor, " batch *event"]:
        """mean + √variance ε, with the noise of each sample's own stream; a point draws nothing."""
        if self.is_point:
            return self.mean
        like = self.terms[0][1]
        noise = self.noise(rng, tuple(like.shape[1:]), like.dtype)
        deviation = self.variance**0.5
        if isinstance(deviation, Tensor) and deviation.ndim > 1:
            return torch.addcmul(self.mean, noise, deviation)
        return total((*self.terms, (deviation, noise)))

    def log_prob(self, x: Float[Tensor, " batch *event"]) -> Float[Tensor, " batch"]:
        """log N(x; mean, variance Σ) in nats, over the space that the noise lives in (see
        `GaussianNoise`); what x has across that space does not count.

        Raises:
            UserError: the noise is not Gaussian.
        """
        law, event = with_density(self.noise), self.mean.shape[1:]
        share = law.freedom(event) / math.prod(event)
        squares, variance = law.whiten(x - self.mean) ** 2, self.spread
        density = -0.5 * (squares / variance + share * (math.tau * variance).log())
        return density.flatten(1).sum(1) - 0.5 * law.log_det(event)

    def error(self, x: Float[Tensor, " batch *event"]) -> Float[Tensor, " batch *event"]:
        """The squared error of the mean, element by element."""
        return (x - self.mean) ** 2

    def kl(self, other: "Gaussian") -> Float[Tensor, " batch"]:
        """½ [f (log(v_p/v_q) - 1 + v_q/v_p) + ‖Σ^-½ (m_q - m_p)‖²/v_p] in nats, per sample, with
        the f degrees of freedom of the noise both are of; q is this one, p the other.

        Raises:
            UserError: the noise laws differ or are not Gaussian.
        """
        law, event = with_density(other.noise), other.mean.shape[1:]
        if self.noise != law:
            raise UserError(
                f"The divergence of a Gaussian of {self.noise} from one of {law} is not known: "
                "both must be of the same noise."
            )
        share = law.freedom(event) / math.prod(event)
        squares, v_q, v_p = law.whiten(self.mean - other.mean) ** 2, self.spread, other.spread
        terms = share * ((v_p / v_q).log() - 1.0) + (share * v_q + squares) / v_p
        return 0.5 * terms.flatten(1).sum(1)

    def toward(self, other: "Gaussian", weight: float) -> "Gaussian":
        """The belief moved from here to `other` (weight 1) or past it: what guidance does."""
        return replace(other, mean=torch.lerp(self.mean, other.mean, weight))

    def halves(self) -> "tuple[Gaussian, Gaussian]":
        """The beliefs of the two halves of a doubled batch."""
        first, second = self.mean.chunk(2)
        if isinstance(self.variance, Tensor) and self.variance.ndim:
            low, high = self.variance.chunk(2)
        else:
            low = high = self.variance
        return replace(self, mean=first, variance=low), replace(self, mean=second, variance=high)

    def detached(self) -> "Gaussian":
        return replace(self, mean=self.mean.detach())

    def blurred_like(self, other: "Gaussian") -> "Gaussian":
        if self.is_point:
            return replace(self, variance=other.variance)
        if not isinstance(self.variance, Tensor):
            return self
        return replace(self, variance=torch.where(self.variance > 0.0, self.variance, other.spread))

    def clean(self) -> "Gaussian":
        """All the mass at the mean: the last step of a walk adds no noise."""
        return replace(self, variance=0.0)

    @property
    def is_point(self) -> bool:
        """Whether all the mass is at the mean."""
        return isinstance(self.variance, float) and self.variance == 0.0

    @property
    def spread(self) -> Tensor:
        """The variance as a tensor that broadcasts over the mean."""
        variance = expand(self.variance, self.mean)
        return torch.as_tensor(variance, dtype=self.mean.dtype, device=self.mean.device)
