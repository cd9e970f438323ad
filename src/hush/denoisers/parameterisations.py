"""What a network's output means: four coefficients for each way of saying it.

x_0 = skip·x_t + out·network(c_in·x_t, clock), so every conversion goes through x_0 (and the noise,
ε = (x_t - α x_0)/σ), never from one way to another.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from hush.schedules import Level, Schedule, Tabulated
from hush.tensors import Number


class Coefficients(NamedTuple):
    """x_0 = skip·x_t + out·network(c_in·x_t, clock)."""

    skip: Number
    out: Number
    c_in: Number
    clock: Number


def steps_or_time(schedule: Schedule, level: Level) -> Number:
    """The clock of a network: the step of a chain counted from 0 as DDPM's code does (T t - 1), and
    a thousand times t where there is no chain."""
    if isinstance(schedule, Tabulated):
        return level.time * schedule.steps - 1.0
    return level.time * 1000.0


class Parameterisation(ABC):
    """A meaning for a network's output. A subclass writes `belief`; it may change what the network
    is fed (`c_in`, by default what gives unit variance to unit-variance data) and its `clock`."""

    @abstractmethod
    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        """(skip, out) of x_0 = skip·x_t + out·output."""

    def c_in(self, level: Level) -> Number:
        """The scale of the network's input: 1/√(α² + σ²), and 1 where but rounding differs."""
        power = level.alpha**2 + level.sigma**2
        return 1.0 if isinstance(power, float) and abs(power - 1.0) < 1e-14 else power**-0.5

    def clock(self, schedule: Schedule, level: Level) -> Number:
        """What the network is told of the time (`steps_or_time`)."""
        return steps_or_time(schedule, level)

    def __call__(self, schedule: Schedule, level: Level) -> Coefficients:
        skip, out = self.belief(schedule, level)
        return Coefficients(skip, out, self.c_in(level), self.clock(schedule, level))


@dataclass(frozen=True)
class Noise(Parameterisation):
    """The noise ε. x_0 = (x_t - σ ε)/α, so α must not be 0. Ho et al. 2020, eq. 11."""

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        return 1.0 / level.alpha, -level.sigma / level.alpha


@dataclass(frozen=True)
class NoiseOfLevel(Noise):
    """The noise, by a network that is told how much of it there is, 1000 √(1-γ) with
    γ = α²/(α² + σ²), and not the time: so it serves walks on any schedule.

    Chen et al. 2021, "WaveGrad", section 3.2; Saharia et al. 2021, "Image super-resolution via
    iterative refinement".
    """

    def clock(self, schedule: Schedule, level: Level) -> Number:
        return 1000.0 * level.sigma * (level.alpha**2 + level.sigma**2) ** -0.5


@dataclass(frozen=True)
class Data(Parameterisation):
    """The data x_0 themselves."""

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        return 0.0, 1.0


@dataclass(frozen=True)
class V(Parameterisation):
    """v = α ε - σ x_0, so x_0 = (α x_t - σ v)/(α² + σ²). Salimans and Ho 2022, "Progressive
    distillation for fast sampling of diffusion models", appendix D."""

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        power = level.alpha**2 + level.sigma**2
        return level.alpha / power, -level.sigma / power


@dataclass(frozen=True)
class Velocity(Parameterisation):
    """The flow field u = α' x_0 + σ' ε, so x_0 = (σ' x_t - σ u)/(α σ' - α' σ). Lipman et al. 2023,
    "Flow matching for generative modeling"; u = ε - x_0 on the rectified schedule."""

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        alpha_rate, sigma_rate = schedule.rates(level)
        wronskian = level.alpha * sigma_rate - alpha_rate * level.sigma
        return sigma_rate / wronskian, -level.sigma / wronskian


@dataclass(frozen=True)
class Score(Parameterisation):
    """∇ log p_t = -ε/σ, so x_0 = (x_t + σ² score)/α. Song et al. 2021."""

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        return 1.0 / level.alpha, level.sigma**2 / level.alpha


@dataclass(frozen=True)
class EDM(Parameterisation):
    """Karras's preconditioning for data of standard deviation σ_d, written for any (α, σ).

    With r = σ/α and y = x_t/α: x_0 = c_skip y + c_out F(c_in y, ln(r)/4),
    c_skip = σ_d²/(r² + σ_d²), c_out = r σ_d/√(r² + σ_d²), c_in = 1/√(r² + σ_d²).
    Karras et al. 2022, table 1.
    """

    sigma_data: float = 0.5

    def belief(self, schedule: Schedule, level: Level) -> tuple[Number, Number]:
        scale = self.c_in(level)
        skip = level.alpha * self.sigma_data**2 * scale**2
        return skip, level.sigma * self.sigma_data * scale

    def c_in(self, level: Level) -> Number:
        return (level.sigma**2 + (level.alpha * self.sigma_data) ** 2) ** -0.5

    def clock(self, schedule: Schedule, level: Level) -> Number:
        return level.log_ratio / 4.0
