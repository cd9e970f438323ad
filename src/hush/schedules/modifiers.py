"""Schedules made from schedules: shifted for a resolution, rescaled to no signal, respaced."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from hush.errors import UserError
from hush.schedules.base import Schedule, Times
from hush.schedules.continuous import Rectified
from hush.schedules.tabulated import Tabulated


def shifted(schedule: Schedule, scale: float) -> Schedule:
    """The schedule with σ/α multiplied by `scale` at every time, its log-SNR lowered by 2 ln scale.

    With scale = d/64, pictures of d by d pixels averaged down to 64 by 64 are as noisy as those of
    64 by 64 are without the shift. A chain stays a chain, shifted at every step; other schedules
    are wrapped in `Shifted`.
    Hoogeboom et al. 2023, "Simple diffusion: end-to-end diffusion for high resolution images",
    section 3.1. Raises `UserError` for a scale that is not positive.
    """
    whole = Shifted(schedule, scale)
    if not isinstance(schedule, Tabulated):
        return whole
    steps = torch.arange(1, schedule.steps + 1, dtype=torch.float64) / schedule.steps
    return Tabulated.from_alpha_bar(whole(steps)[0].square().tolist())


@dataclass(frozen=True)
class Shifted(Schedule):
    """(α, scale·σ)/n of another schedule's (α, σ), the factor n keeping it on the other's curve: a
    variance-preserving one stays so, a straight path stays straight.

    On `Rectified` it is (1 - t', t') with t' = scale·t/(1 + (scale - 1) t): Esser et al. 2024,
    "Scaling rectified flow transformers for high-resolution image synthesis", eq. 23, whose √(m/n)
    is the scale.
    """

    schedule: Schedule = field(default_factory=Rectified)
    scale: float = 3.0

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < math.inf:
            raise UserError(f"The scale of a shift must be positive, got {self.scale:g}.")

    def __call__(self, t: Times) -> tuple[Times, Times]:
        alpha, sigma = self.schedule(t)
        sigma = self.scale * sigma
        norm = self.norm(alpha, sigma)
        return alpha / norm, sigma / norm

    def norm(self, alpha: Times, sigma: Times) -> Times:
        return self.schedule.norm(alpha, sigma)

    def time(self, log_snr: Times) -> Times:
        return self.schedule.time(log_snr + 2.0 * math.log(self.scale))


def zero_terminal_snr(chain: Tabulated) -> Tabulated:
    """The chain whose last step leaves no signal: √ᾱ_i shifted and scaled so that √ᾱ_T = 0 and √ᾱ_1
    stays, √ᾱ'_i = (√ᾱ_i - √ᾱ_T)·√ᾱ_1/(√ᾱ_1 - √ᾱ_T).

    A network must then be read as v, the velocity or the data: at t = 1 noise says nothing of x_0.
    Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed", algorithm 1.
    Raises `UserError` for a chain of a single step, whose signal cannot both stay and go.
    """
    if chain.steps < 2:
        raise UserError("Zero terminal SNR needs a chain of at least 2 steps, got 1.")
    alpha = chain.log_alpha[1:].exp()
    rescaled = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
    return Tabulated.from_alpha_bar(rescaled.square().tolist())


def respaced(chain: Tabulated, kept: int | Sequence[int]) -> Tabulated:
    """The chain that visits only the steps `kept` (increasing, of 1 … T) and has their ᾱ: with k
    after j, β = 1 - ᾱ_k/ᾱ_j. A number n keeps n steps evenly spaced from 1 to T, rounded.

    It is a shorter chain with its own clock. To sample a network trained on the whole chain, walk
    the whole chain on the grid `Chain` instead, which takes the same steps and keeps its clock.
    Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", section 4 and
    eq. 19. Raises `UserError` for steps that the chain has not, or that do not increase.
    """
    if isinstance(kept, int):
        kept = _evenly(chain, kept)
    known = all(1 <= step <= chain.steps for step in kept)
    if not kept or not known or list(kept) != sorted(set(kept)):
        raise UserError(
            f"The steps kept of a chain must increase from at least 1 to at most {chain.steps}, "
            f"got {list(kept)}."
        )
    return Tabulated.from_alpha_bar((2.0 * chain.log_alpha[list(kept)]).exp().tolist())


def _evenly(chain: Tabulated, count: int) -> list[int]:
    if not 1 <= count <= chain.steps:
        raise UserError(f"A chain of {chain.steps} steps cannot keep {count} of them.")
    return torch.linspace(chain.steps, 1, count, dtype=torch.float64).round().long().tolist()[::-1]
