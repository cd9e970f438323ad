"""What a noise schedule is: two functions of time, and everything that follows from them."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.tensors import Number

Times = Float64[Tensor, "*batch"]


class Level(NamedTuple):
    """One moment of a process: its time and its signal and noise scales.

    Python floats for a moment that a whole batch shares (a step of a grid: no tensor arithmetic, no
    synchronisation), float64 tensors (batch,) where each sample has its own.
    """

    time: Number
    alpha: Number
    sigma: Number

    @property
    def snr(self) -> Number:
        """Signal to noise, α²/σ² (infinite where there is no noise)."""
        return over(self.alpha, self.sigma) ** 2

    @property
    def log_snr(self) -> Number:
        """log(α²/σ²)."""
        return _log(self.snr)

    @property
    def log_ratio(self) -> Number:
        """log(σ/α): the log of the noise level of EDM and k-diffusion."""
        return -0.5 * self.log_snr


def _log(x: Number) -> Number:
    if isinstance(x, Tensor):
        return x.log()
    return math.log(x) if x > 0.0 else -math.inf


def over(part: Number, sigma: Number) -> Number:
    """part/σ, infinite where there is no noise (as tensors have it and floats do not)."""
    if isinstance(sigma, float) and sigma == 0.0:
        return math.copysign(math.inf, part)
    return part / sigma


class Schedule(ABC):
    """x_t = α_t x_0 + σ_t ε with time in [0, 1]: data at 0 (α = 1, σ = 0), noise at 1.

    A new schedule writes `__call__` alone; it may add the closed forms of `rates` and `time`, and
    the `norm` of its curve where α² + σ² is not 1. All arithmetic is float64.
    """

    @abstractmethod
    def __call__(self, t: Times) -> tuple[Times, Times]:
        """(α_t, σ_t) at the times t."""

    def level(self, t: Level | Number) -> Level:
        """The level at time t; a level passes through, so that a grid computes its own only once.
        A float gives floats, a tensor gives float64 tensors."""
        if isinstance(t, Level):
            return t
        if isinstance(t, Tensor):
            t = t.double()
            return Level(t, *self(t))
        return self.levels(torch.tensor([t], dtype=torch.float64))[0]

    def levels(self, times: Float64[Tensor, " n"]) -> list[Level]:
        """The levels of many shared times, as floats, computed in one sweep."""
        alpha, sigma = self(times)
        return [Level(*row) for row in torch.stack((times, alpha, sigma), 1).tolist()]

    def log_snr(self, t: Level | Number) -> Number:
        """log(α²/σ²) at time t: falls from +∞ at t = 0."""
        return self.level(t).log_snr

    def time(self, log_snr: Times) -> Times:
        """The time at which the log-SNR is `log_snr`, held to [0, 1]: the inverse of `log_snr`."""
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        for _ in range(80):  # bisection to the last bit of a float64, also of times near 0
            middle = torch.where(low > 0, (low * high).sqrt(), high * 2.0**-12)
            noisier = Level(middle, *self(middle)).log_snr < log_snr
            low, high = torch.where(noisier, low, middle), torch.where(noisier, middle, high)
        high = torch.where(log_snr == math.inf, 0.0, high)
        return torch.where(self.log_snr(torch.ones_like(high)) >= log_snr, 1.0, high)

    def at_ratio(self, ratio: float) -> Level:
        """The level where σ/α is `ratio` (0 the data, infinite where a schedule ends blind)."""
        log_snr = torch.tensor([ratio], dtype=torch.float64).log().mul(-2.0)
        return self.levels(self.time(log_snr))[0]

    def rates(self, t: Level | Number) -> tuple[Number, Number]:
        """(dα/dt, dσ/dt) at time t."""
        level = self.level(t)
        time = torch.as_tensor(level.time, dtype=torch.float64)
        rates = torch.func.jvp(self, (time,), (torch.ones_like(time),))[1]
        if isinstance(level.time, Tensor):
            return rates
        return rates[0].item(), rates[1].item()

    def norm(self, alpha: Times, sigma: Times) -> Times:
        """The n for which (α, σ)/n lies on the curve of this schedule, or on its continuation: 1 on
        the curve, and c·n for (c α, c σ). Here √(α² + σ²), that of every variance-preserving one.
        """
        return (alpha**2 + sigma**2).sqrt()
