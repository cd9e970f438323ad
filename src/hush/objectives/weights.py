"""How much each noise level counts, as a weight on the squared error of x_0.

Every familiar loss is one of these: since ε - ε̂ = -(α/σ)(x_0 - x̂_0), a unit weight on the noise is
the weight α²/σ² on the data, and so on (Salimans and Ho 2022, section 4).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.schedules import Level, Schedule


class Weight(ABC):
    """w(t) of the loss w(t) ‖x_0 - x̂_0‖², for per-sample levels."""

    @abstractmethod
    def __call__(self, schedule: Schedule, level: Level) -> Tensor: ...


@dataclass(frozen=True)
class Simple(Weight):
    """α²/σ²: the error of the noise, ‖ε - ε̂‖². DDPM's L_simple (Ho et al. 2020, eq. 14)."""

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        return level.snr


@dataclass(frozen=True)
class Unit(Weight):
    """1: the error of the data, ‖x_0 - x̂_0‖²."""

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        return torch.ones_like(level.sigma)


@dataclass(frozen=True)
class TruncatedSNR(Weight):
    """max(α²/σ², 1): the larger of the errors of x_0 and of ε. Salimans and Ho 2022, eq. 9."""

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        return level.snr.clamp(min=1.0)


@dataclass(frozen=True)
class SNRPlusOne(Weight):
    """α²/σ² + 1: the error of v, ‖v - v̂‖², where α² + σ² = 1. Salimans and Ho 2022, section 4."""

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        return level.snr + 1.0


@dataclass(frozen=True)
class MinSNR(Weight):
    """min(α²/σ², γ)."""

    gamma: float = 5.0

    cite: ClassVar[str] = (
        "Hang et al. 2023, Efficient diffusion training via min-SNR weighting strategy"
    )

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        return level.snr.clamp(max=self.gamma)


@dataclass(frozen=True)
class VLB(Weight):
    """-½ d(α²/σ²)/dt: with t uniform, the diffusion term of the variational bound in continuous
    time, in nats per element. Kingma et al. 2021, eq. 17."""

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        alpha_rate, sigma_rate = schedule.rates(level)
        wronskian = level.alpha * sigma_rate - alpha_rate * level.sigma
        return level.alpha * wronskian / level.sigma**3


@dataclass(frozen=True)
class Flow(Weight):
    """((α σ' - α' σ)/σ)²: the error of the velocity, ‖u - û‖². Lipman et al. 2023, eq. 9."""

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        alpha_rate, sigma_rate = schedule.rates(level)
        return (level.alpha * sigma_rate / level.sigma - alpha_rate) ** 2


@dataclass(frozen=True)
class EDM(Weight):
    """(r² + σ_d²)/(r σ_d)², r = σ/α: the error of EDM's raw output. Karras et al. 2022, table 1."""

    sigma_data: float = 0.5

    def __call__(self, schedule: Schedule, level: Level) -> Tensor:
        return level.snr + self.sigma_data**-2
