"""Decoders: from the law of x_0 at the end of the chain to the probability of the data themselves.

Tokens need none: their law is over the data. Numbers are either taken as they are, a density, or
as levels, each with the probability of its share of the line.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from hush.distributions import Distribution, Gaussian

Data = Float[Tensor, " batch *event"]


class Decoder(ABC):
    """log p(data | law of x_0). The law is what the model believes, or where `seen` is true what
    the last noised state says by itself."""

    seen: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, law: Distribution, x_0: Any) -> Float[Tensor, " batch"]:
        """log-probability of x_0 in nats, of each sample's whole event."""


@dataclass(frozen=True)
class Density(Decoder):
    """The law's own: a density of numbers, the probability of tokens."""

    def __call__(self, law: Distribution, x_0: Any) -> Float[Tensor, " batch"]:
        return law.log_prob(x_0)


@dataclass(frozen=True)
class Binned(Decoder):
    """Data of evenly spaced levels, `spacing` apart from `low` to `high` in units of x_0: the law's
    mass within half a spacing of a level, and beyond the ends all that is left.

    Ho et al. 2020, eq. 13.
    """

    spacing: float = 2.0 / 255.0
    low: float = -1.0
    high: float = 1.0

    def __call__(self, law: Gaussian, x_0: Data) -> Float[Tensor, " batch"]:
        deviation = law.spread.sqrt()
        upper = (x_0 - law.mean + 0.5 * self.spacing) / deviation
        lower = (x_0 - law.mean - 0.5 * self.spacing) / deviation
        edge = 0.5 * self.spacing
        log_mass = torch.where(
            x_0 < self.low + edge,
            torch.special.log_ndtr(upper),
            torch.where(x_0 > self.high - edge, torch.special.log_ndtr(-lower), _log(upper, lower)),
        )
        return log_mass.flatten(1).sum(1)


def _log(upper: Data, lower: Data) -> Data:
    """log(Φ(upper) - Φ(lower)) with both moved to the side where Φ is small: no digits cancel."""
    flip = upper + lower > 0.0
    high = torch.where(flip, -lower, upper)
    low = torch.where(flip, -upper, lower)
    first, second = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return first + torch.log1p(-(second - first).exp())


@dataclass(frozen=True)
class Nearest(Decoder):
    """Levels as in `Binned`, each as probable as the law's density at it: p(v) ∝ N(v; mean, var).

    Kingma et al. 2021, eq. 14; the law is N(z_0/α_0, σ_0²/α_0²), of the last noised state itself.
    """

    spacing: float = 2.0 / 255.0
    low: float = -1.0
    high: float = 1.0

    seen: ClassVar[bool] = True

    def __call__(self, law: Gaussian, x_0: Data) -> Float[Tensor, " batch"]:
        count = round((self.high - self.low) / self.spacing) + 1
        levels = torch.linspace(self.low, self.high, count, dtype=x_0.dtype, device=x_0.device)
        gaps = levels - law.mean.unsqueeze(-1)
        logits = -0.5 * gaps**2 / law.spread.unsqueeze(-1)
        place = ((x_0 - self.low) / self.spacing).round().long().unsqueeze(-1)
        return logits.log_softmax(-1).gather(-1, place).flatten(1).sum(1)
