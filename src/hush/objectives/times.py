"""Which noise levels a network is trained on: laws of the time t, given by their quantiles."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.rng import Streams
from hush.schedules import Schedule, Tabulated

Times = Float64[Tensor, " batch"]


class TimeLaw(ABC):
    """A law of t in (0, 1]. A subclass writes its quantile function."""

    @abstractmethod
    def quantile(self, schedule: Schedule, u: Times) -> Times:
        """The time below which a share u of the draws falls."""

    def __call__(self, schedule: Schedule, rng: Streams) -> Times:
        """One time per sample, each from its own stream."""
        return self.quantile(schedule, rng.uniform())


@dataclass(frozen=True)
class Uniform(TimeLaw):
    """Every step of a chain alike (i ~ U{1 … T}); every time of (shortest, 1) alike elsewhere.

    `shortest` keeps away from t = 0, where there is no noise to see. Ho et al. 2020, algorithm 1.
    """

    shortest: float = 1e-5

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        if isinstance(schedule, Tabulated):
            return ((u * schedule.steps).floor() + 1.0).clamp(max=schedule.steps) / schedule.steps
        return self.shortest + (1.0 - self.shortest) * u


@dataclass(frozen=True)
class LogNormal(TimeLaw):
    """ln(σ/α) ~ N(mean, deviation²). Karras et al. 2022, table 1, there of ln σ."""

    mean: float = -1.2
    deviation: float = 1.2

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        log_ratio = self.mean + self.deviation * torch.special.ndtri(u)
        return schedule.time(-2.0 * log_ratio)


@dataclass(frozen=True)
class Stratified(TimeLaw):
    """Another law drawn evenly: the batch shares one uniform offset, u_i = (u + i/batch) mod 1, so
    every batch covers the noise levels and its loss varies less. Kingma et al. 2021, appendix I.1.
    """

    law: TimeLaw = field(default_factory=Uniform)

    cite: ClassVar[str] = "Kingma, Salimans, Poole, Ho 2021, Variational diffusion models"

    def quantile(self, schedule: Schedule, u: Times) -> Times:
        return self.law.quantile(schedule, u)

    def __call__(self, schedule: Schedule, rng: Streams) -> Times:
        count = len(rng)
        spread = torch.arange(count, dtype=torch.float64, device=rng.index.device) / count
        return self.quantile(schedule, (rng.uniform()[:1] + spread) % 1.0)
