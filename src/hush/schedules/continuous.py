"""Schedules that are a formula in time."""

import math
from dataclasses import dataclass

import torch

from hush.schedules.base import Level, Schedule, Times, over
from hush.tensors import Number


@dataclass(frozen=True)
class _LinearBeta(Schedule):
    """β(t) = β_min + t (β_max - β_min), and its integral B(t) = β_min t + ½ (β_max - β_min) t²."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def _integral(self, t: Times) -> Times:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def _time(self, integral: Times) -> Times:
        """The time at which B is `integral`, held to [0, 1]."""
        integral = integral.clamp(max=0.5 * (self.beta_min + self.beta_max))
        root = (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integral).sqrt()
        return (2 * integral / (root + self.beta_min)).clamp(0.0, 1.0)


@dataclass(frozen=True)
class VariancePreserving(_LinearBeta):
    """The VP SDE dx = -½β(t) x dt + √β(t) dw with β(t) = β_min + t (β_max - β_min).

    α = exp(-B/2), σ² = 1 - exp(-B), B(t) = β_min t + ½ (β_max - β_min) t².
    Song et al. 2021, "Score-based generative modeling through SDEs", eq. 11 and appendix C.
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        integral = self._integral(t)
        return (-0.5 * integral).exp(), (-torch.expm1(-integral)).sqrt()

    def time(self, log_snr: Times) -> Times:
        return self._time(torch.nn.functional.softplus(-log_snr, threshold=700.0))


@dataclass(frozen=True)
class SubVP(_LinearBeta):
    """The sub-VP SDE dx = -½β(t) x dt + √(β(t) (1 - exp(-2B))) dw, with the β and B of the VP SDE.

    α = exp(-B/2), σ = 1 - exp(-B): the signal of the VP SDE and the square of its variance.
    Song et al. 2021, "Score-based generative modeling through SDEs", eq. 12 and appendix C.
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        integral = self._integral(t)
        return (-0.5 * integral).exp(), -torch.expm1(-integral)

    def time(self, log_snr: Times) -> Times:
        return self._time(2.0 * (0.5 * (-0.5 * log_snr).exp()).asinh())  # σ/α = 2 sinh(B/2)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        level = self.level(t)
        beta = self.beta_min + (self.beta_max - self.beta_min) * level.time
        return -0.5 * beta * level.alpha, beta * level.alpha**2

    def norm(self, alpha: Times, sigma: Times) -> Times:
        return 0.5 * (sigma + (sigma**2 + 4.0 * alpha**2).sqrt())  # where (α/n)² + σ/n = 1


@dataclass(frozen=True)
class VarianceExploding(Schedule):
    """The VE SDE dx = s √(2 ln(σ_max/σ_min)) dw with s(t) = σ_min (σ_max/σ_min)^t.

    α = 1, σ² = s² - σ_min² = σ_min² ((σ_max/σ_min)^{2t} - 1): the exact variance of the SDE, from 0
    at the data to σ_max² - σ_min². The official code takes s itself, the geometric noise levels,
    for the standard deviation, as if the data had begun with σ_min of noise.
    Song et al. 2021, "Score-based generative modeling through SDEs", eq. 9 and appendix C.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    @property
    def _log_range(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def __call__(self, t: Times) -> tuple[Times, Times]:
        growth = torch.expm1(2.0 * self._log_range * t)
        return torch.ones_like(t), self.sigma_min * growth.sqrt()

    def time(self, log_snr: Times) -> Times:
        growth = (-log_snr).exp() / self.sigma_min**2
        return (torch.log1p(growth) / (2.0 * self._log_range)).clamp(0.0, 1.0)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        level = self.level(t)
        growth = self._log_range * (level.sigma**2 + self.sigma_min**2)
        return 0.0 * level.alpha, over(growth, level.sigma)

    def norm(self, alpha: Times, sigma: Times) -> Times:
        return alpha


@dataclass(frozen=True)
class Cosine(Schedule):
    """α = cos θ, σ = sin θ, θ = t·θ_1, stopped at the angle whose log-SNR is `log_snr_min`.

    The continuous form of Nichol and Dhariwal 2021; Salimans and Ho 2022 stop it at -20.
    """

    log_snr_min: float = -20.0

    @property
    def _angle(self) -> float:
        return math.atan(math.exp(-0.5 * self.log_snr_min))

    def __call__(self, t: Times) -> tuple[Times, Times]:
        angle = self._angle * t
        return angle.cos(), angle.sin()

    def time(self, log_snr: Times) -> Times:
        return ((-0.5 * log_snr).exp().atan() / self._angle).clamp(0.0, 1.0)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        level = self.level(t)
        return -self._angle * level.sigma, self._angle * level.alpha


@dataclass(frozen=True)
class EDM(Schedule):
    """α = 1, σ = σ_max t: time is the noise level itself, up to its largest value.

    Karras et al. 2022, "Elucidating the design space of diffusion-based generative models",
    table 1 (σ(t) = t, s(t) = 1). Its ρ-spaced noise levels are the grid `Karras`.
    """

    sigma_max: float = 80.0

    def __call__(self, t: Times) -> tuple[Times, Times]:
        return torch.ones_like(t), self.sigma_max * t

    def time(self, log_snr: Times) -> Times:
        return ((-0.5 * log_snr).exp() / self.sigma_max).clamp(0.0, 1.0)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        alpha = self.level(t).alpha
        return 0.0 * alpha, self.sigma_max * alpha

    def norm(self, alpha: Times, sigma: Times) -> Times:
        return alpha


@dataclass(frozen=True)
class Rectified(Schedule):
    """α = 1 - t, σ = t: a straight line from data to noise, whose end has no signal at all.

    Liu et al. 2023, "Flow straight and fast", eq. 1 (with time reversed: their data are at 1);
    Lipman et al. 2023, "Flow matching for generative modeling", section 4.1.
    """

    def __call__(self, t: Times) -> tuple[Times, Times]:
        return 1.0 - t, t.clone()

    def time(self, log_snr: Times) -> Times:
        return torch.sigmoid(-0.5 * log_snr)

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        time = self.level(t).time
        return 0.0 * time - 1.0, 0.0 * time + 1.0

    def norm(self, alpha: Times, sigma: Times) -> Times:
        return alpha + sigma
