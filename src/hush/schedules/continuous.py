"""Schedules that are a formula in time."""

import math
from dataclasses import dataclass

import torch

from hush.schedules.base import Level, Schedule, Times
from hush.tensors import Number


@dataclass(frozen=True)
class VariancePreserving(Schedule):
    """The VP SDE dx = -½β(t) x dt + √β(t) dw with β(t) = β_min + t (β_max - β_min).

    α = exp(-B/2), σ² = 1 - exp(-B), B(t) = β_min t + ½ (β_max - β_min) t².
    Song et al. 2021, "Score-based generative modeling through SDEs", eq. 11 and appendix C.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __call__(self, t: Times) -> tuple[Times, Times]:
        integral = self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2
        return (-0.5 * integral).exp(), (-torch.expm1(-integral)).sqrt()

    def time(self, log_snr: Times) -> Times:
        whole = 0.5 * (self.beta_min + self.beta_max)
        integral = torch.nn.functional.softplus(-log_snr, threshold=700.0).clamp(max=whole)
        root = (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integral).sqrt()
        return (2 * integral / (root + self.beta_min)).clamp(0.0, 1.0)


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
