"""Decoders: from the law of x_0 at the end of the chain to the probability of the data themselves.

Tokens need none: their law is over the data. Numbers are either taken as they are, a density, or
as levels, each with the probability of its share of the line.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from hush.distributions import Distribution, Gaussian

Data = Float[Tensor, " batch *event"]
NARROW = 1e-3  # of a bin, in standard deviations
TAIL = -30.0  # in standard deviations


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
        deviation = law.spread.clamp(min=1e-20).sqrt()  # of a point: all in its bin, no NaN
        upper = (x_0 - law.mean + 0.5 * self.spacing) / deviation
        lower = (x_0 - law.mean - 0.5 * self.spacing) / deviation
        edge = 0.5 * self.spacing
        log_mass = torch.where(
            x_0 < self.low + edge,
            _log_cdf(upper),
            torch.where(x_0 > self.high - edge, _log_cdf(-lower), _log(upper, lower)),
        )
        return log_mass.flatten(1).sum(1)


def _log(upper: Data, lower: Data) -> Data:
    """log(Φ(upper) - Φ(lower)) with both moved to the side where Φ is small: no digits cancel. Of a
    narrow bin it is the density times the width, right to width²/24."""
    flip = upper + lower > 0.0
    high = torch.where(flip, -lower, upper)
    low = torch.where(flip, -upper, lower)
    first, second = _log_cdf(high), _log_cdf(low)
    width = upper - lower
    narrow = width < NARROW
    # The branch that is not taken must stay finite for its gradient.
    fall = torch.where(narrow, -1.0, second - first)
    density = -0.125 * (upper + lower) ** 2 - 0.5 * math.log(math.tau) + width.log()
    return torch.where(narrow, density, first + torch.log(-torch.expm1(fall)))


def _log_cdf(x: Data) -> Data:
    """log Φ(x). Far out, where the gradient of torch's own loses its digits, by the series
    -x²/2 - log(-x√2π) + log(1 - x^-2 + 3 x^-4 - 15 x^-6), right to 1e-9."""
    far = x < TAIL
    out = torch.where(far, x.clamp(min=-1e15), TAIL)
    series = torch.log1p(-(out**-2) + 3.0 * out**-4 - 15.0 * out**-6) - (-out * math.tau**0.5).log()
    return torch.where(far, series - 0.5 * out**2, torch.special.log_ndtr(torch.where(far, 0.0, x)))


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
