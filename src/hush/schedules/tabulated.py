"""Chains of T discrete steps, as DDPM has them."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.errors import UserError
from hush.schedules.base import Level, Schedule, Times
from hush.tensors import Number


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> tuple[float, ...]:
    """β linear from `first` to `last`, both scaled by 1000/T so that the end is as noisy for any T.

    Ho et al. 2020, "Denoising diffusion probabilistic models", section 4. Raises `UserError` for a
    chain so short that the last β would pass 1.
    """
    scale = 1000.0 / steps
    if last * scale > 1.0:
        raise UserError(
            f"A linear chain of {steps} steps would need β = {last * scale:.3g}, above 1: take at "
            f"least {math.ceil(1000.0 * last)} steps, or a cosine chain."
        )
    betas = torch.linspace(first * scale, last * scale, steps, dtype=torch.float64)
    return tuple(betas.clamp(max=0.999).tolist())


def cosine_betas(
    steps: int = 1000, offset: float = 0.008, largest: float = 0.999
) -> tuple[float, ...]:
    """β_i = min(1 - ᾱ_i/ᾱ_{i-1}, largest), ᾱ(u) = cos²((u + m)/(1 + m)·π/2)/cos²(m/(1 + m)·π/2).

    Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", eq. 17.
    """
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha_bar = ((u + offset) / (1 + offset) * math.pi / 2).cos() ** 2
    return tuple((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=largest).tolist())


@dataclass(frozen=True)
class Tabulated(Schedule):
    """A chain q(x_i | x_{i-1}) = N(√(1-β_i) x_{i-1}, β_i I), i = 1 … T, with step i at t = i/T.

    ᾱ_i = ∏_{j≤i} (1 - β_j), ᾱ_0 = 1, α = √ᾱ, σ = √(1 - ᾱ). Between two steps log ᾱ is linear: the
    VP SDE whose β(t) is constant over each step, which meets the chain at every step.
    """

    betas: tuple[float, ...] = field(default_factory=linear_betas, repr=False)

    @classmethod
    def linear(cls, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> "Tabulated":
        """DDPM's chain (`linear_betas`)."""
        return cls(linear_betas(steps, first, last))

    @classmethod
    def cosine(
        cls, steps: int = 1000, offset: float = 0.008, largest: float = 0.999
    ) -> "Tabulated":
        """Improved DDPM's chain (`cosine_betas`)."""
        return cls(cosine_betas(steps, offset, largest))

    @property
    def steps(self) -> int:
        """T, the length of the chain."""
        return len(self.betas)

    @cached_property
    def log_alpha(self) -> Float64[Tensor, " steps_and_0"]:
        """½ log ᾱ_i for i = 0 … T, the entry at 0 being 0."""
        betas = torch.tensor((0.0, *self.betas), dtype=torch.float64)
        return 0.5 * torch.log1p(-betas).cumsum(0)

    def __call__(self, t: Times) -> tuple[Times, Times]:
        log_alpha = self._interpolated(t)[0]
        return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()

    def time(self, log_snr: Times) -> Times:
        log_alpha = -0.5 * torch.nn.functional.softplus(-log_snr, threshold=700.0)
        table = self.log_alpha.to(log_snr.device)
        step = torch.searchsorted(-table, -log_alpha).clamp(1, self.steps)
        part = (log_alpha - table[step - 1]) / (table[step] - table[step - 1])
        return ((step - 1 + part) / self.steps).clamp(0.0, 1.0)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        level = self.level(t)
        slope = self._interpolated(torch.as_tensor(level.time, dtype=torch.float64))[1]
        slope = slope if isinstance(level.time, Tensor) else slope.item()
        return slope * level.alpha, -slope * level.alpha**2 / level.sigma

    def _interpolated(self, t: Times) -> tuple[Times, Times]:
        """½ log ᾱ at the times t, and its derivative in t (the left one, at a step)."""
        table = self.log_alpha.to(t.device)
        place = t * self.steps
        step = (place - 1e-9).ceil().clamp(1, self.steps)  # i itself, however i/T was rounded
        after = step.long()
        rise = table[after] - table[after - 1]
        return table[after - 1] + rise * (place - (step - 1.0)), rise * self.steps
