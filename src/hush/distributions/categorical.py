"""Categorical laws: of tokens, of grey levels, of anything that is one of K."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from hush.distributions.base import Distribution
from hush.rng import Streams

Probabilities = Float[Tensor, "batch *event state"]
States = Int64[Tensor, "batch *event"]


@dataclass(frozen=True)
class Categorical(Distribution):
    """p(x = k) ∝ exp(logits_k), independent over the elements of the event; -∞ is never.

    `logits` has one more axis than the states it is over: (batch, *event, K).
    """

    logits: Probabilities

    @classmethod
    def of(cls, probabilities: Probabilities) -> "Categorical":
        """From numbers that need not sum to one. What is 0 becomes the smallest positive number, so
        that its logarithm and the gradient of it stay finite."""
        return cls(probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log())

    @cached_property
    def log_probs(self) -> Probabilities:
        """log p(x = k)."""
        return self.logits.log_softmax(-1)

    @property
    def probs(self) -> Probabilities:
        """p(x = k)."""
        return self.log_probs.exp()

    def sample(self, rng: Streams) -> States:
        """The first state whose cumulated probability passes a uniform number of the stream."""
        reached = self.logits.double().softmax(-1).cumsum(-1)
        share = rng.uniform(tuple(self.logits.shape[1:-1])).unsqueeze(-1)
        return (reached <= share * reached[..., -1:]).sum(-1)

    def log_prob(self, x: States) -> Float[Tensor, " batch"]:
        return -self.error(x).flatten(1).sum(1)

    def error(self, x: States) -> Float[Tensor, " batch *event"]:
        """-log p(x), element by element: the cross-entropy."""
        return -self.log_probs.gather(-1, x.unsqueeze(-1)).squeeze(-1)

    def kl(self, other: "Categorical") -> Float[Tensor, " batch"]:
        """Σ q (log q - log p), where what q never gives does not count."""
        q = self.probs
        terms = torch.where(q > 0.0, q * (self.log_probs - other.log_probs), 0.0)
        return terms.flatten(1).sum(1)

    def toward(self, other: "Categorical", weight: float) -> "Categorical":
        """p ∝ self^(1 - weight)·other^weight; what `other` never gives stays impossible."""
        here, there = self.log_probs, other.log_probs
        moved = torch.lerp(here, there, weight)
        return Categorical(torch.where(there.isneginf() | here.isneginf(), there, moved))

    def halves(self) -> "tuple[Categorical, Categorical]":
        first, second = self.logits.chunk(2)
        return Categorical(first), Categorical(second)

    def detached(self) -> "Categorical":
        return self

    @classmethod
    def certain(cls, x: States, states: int, dtype: torch.dtype = torch.float64) -> "Categorical":
        """All the mass at x, one of `states`."""
        one = torch.nn.functional.one_hot(x, states)
        return cls(torch.where(one > 0, 0.0, -math.inf).to(dtype))
