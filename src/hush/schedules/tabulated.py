"""Chains of T discrete steps, as DDPM has them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.errors import UserError
from hush.schedules.base import Level, Schedule, Times, over
from hush.schedules.betas import betas_from_alpha_bar, cosine_betas, linear_betas
from hush.tensors import Number


@dataclass(frozen=True, repr=False)
class Tabulated(Schedule):
    """A chain q(x_i | x_{i-1}) = N(√(1-β_i) x_{i-1}, β_i I), i = 1 … T, with step i at t = i/T.

    ᾱ_i = ∏_{j≤i} (1 - β_j), ᾱ_0 = 1, α = √ᾱ, σ = √(1 - ᾱ). Between two steps log ᾱ is linear: the
    VP SDE whose β(t) is constant over each step, which meets the chain at every step. Only the last
    β may be 1, so that no signal is left (zero terminal SNR); over that step α falls linearly to 0.

    Any of the `…_betas` makes one: `Tabulated(quadratic_betas(50, 1e-4, 0.5))`. Raises `UserError`
    for betas that are not between 0 and 1.
    """

    betas: tuple[float, ...] = field(default_factory=linear_betas)

    def __post_init__(self) -> None:
        if not self.betas:
            raise UserError("A chain needs at least 1 step, got no betas.")
        for step, beta in enumerate(self.betas, start=1):
            if not (0.0 < beta < 1.0 or (beta == 1.0 and step == self.steps)):
                raise UserError(
                    f"The betas of a chain lie between 0 and 1 (only the last may be 1), got "
                    f"{beta:g} at step {step} of {self.steps}."
                )

    def __repr__(self) -> str:
        return f"Tabulated(steps={self.steps}, betas {self.betas[0]:.3g} to {self.betas[-1]:.3g})"

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

    @classmethod
    def from_alpha_bar(cls, alpha_bar: Sequence[float]) -> "Tabulated":
        """The chain whose ᾱ_1 … ᾱ_T are given (ᾱ_0 = 1 is not): β_i = 1 - ᾱ_i/ᾱ_{i-1}.

        Raises `UserError` unless they fall at every step, from below 1 to no less than 0.
        """
        for step, (before, after) in enumerate(pairwise((1.0, *alpha_bar)), start=1):
            if not 0.0 <= after < before:
                raise UserError(
                    f"ᾱ must fall at every step, from below 1 to no less than 0: got {after:g} "
                    f"after {before:g} at step {step} of {len(alpha_bar)}."
                )
        return cls(betas_from_alpha_bar(torch.tensor((1.0, *alpha_bar), dtype=torch.float64)))

    @property
    def steps(self) -> int:
        """T, the length of the chain."""
        return len(self.betas)

    @cached_property
    def log_alpha(self) -> Float64[Tensor, " steps_and_0"]:
        """½ log ᾱ_i for i = 0 … T, the entry at 0 being 0 (and -∞ at T for zero terminal SNR)."""
        betas = torch.tensor((0.0, *self.betas), dtype=torch.float64)
        return 0.5 * torch.log1p(-betas).cumsum(0)

    def __call__(self, t: Times) -> tuple[Times, Times]:
        log_alpha = self._interpolated(t)[0]
        return log_alpha.exp(), (0.0 - torch.expm1(2 * log_alpha)).sqrt()  # and not -0.0 at 0

    def time(self, log_snr: Times) -> Times:
        log_alpha = -0.5 * torch.nn.functional.softplus(-log_snr, threshold=700.0)
        table = self.log_alpha.to(log_snr.device)
        step = torch.searchsorted(-table, -log_alpha).clamp(1, self.steps)
        fall, whole = log_alpha - table[step - 1], table[step] - table[step - 1]
        part = torch.where(whole.isinf(), -torch.expm1(fall), fall / whole)
        return ((step - 1 + part) / self.steps).clamp(0.0, 1.0)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        level = self.level(t)
        rate = self._interpolated(torch.as_tensor(level.time, dtype=torch.float64))[1]
        rate = rate if isinstance(level.time, Tensor) else rate.item()
        return rate, over(-rate * level.alpha, level.sigma)

    def _interpolated(self, t: Times) -> tuple[Times, Times]:
        """½ log ᾱ at the times t, and dα/dt (the left one, at a step)."""
        table = self.log_alpha.to(t.device)
        place = t * self.steps
        step = (place - 1e-9).ceil().clamp(1, self.steps)  # i itself, however i/T was rounded
        after, part = step.long(), place - (step - 1.0)
        before = table[after - 1]
        whole = table[after] - before
        blind = whole.isinf()  # the step to zero terminal SNR
        log_alpha = before + torch.where(blind, torch.log1p(-part), whole * part)
        rate = torch.where(blind, -before.exp(), whole * log_alpha.exp())
        return log_alpha, rate * self.steps
