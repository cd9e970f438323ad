"""The probability-flow ODE in coordinates where solving it is plain quadrature.

Along the flow x = α x̂_0 + σ ε̂, and for each basis below d(x/scale)/d(variable) = slope exactly, so
an explicit Euler step is DDIM's step and every higher rule integrates `slope` alone.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from hush.schedules import Level


class Basis(ABC):
    """A scale, a variable and a slope: d(x/scale)/d(variable) = slope(x_0, noise)."""

    @abstractmethod
    def scale(self, level: Level) -> float: ...

    @abstractmethod
    def variable(self, level: Level) -> float: ...

    @abstractmethod
    def combine(self, x_0: Tensor, noise: Tensor) -> Tensor:
        """The slope as a combination of the belief's mean and its noise."""

    def slope(self, x_0: Tensor, x: Tensor, t: Level) -> Tensor:
        """The slope at x, given the belief's mean x_0 there."""
        return self.combine(x_0, (x - t.alpha * x_0) / t.sigma)

    def advance(self, x: Tensor, t: Level, s: Level, area: Tensor) -> Tensor:
        """The state at s, where `area` is the integral of the slope from t to s."""
        return self.scale(s) * (x / self.scale(t) + area)


@dataclass(frozen=True)
class Velocity(Basis):
    """x/(α + σ) against τ = σ/(α + σ), slope ε - x_0: any schedule as the rectified flow it is.

    Finite where there is no noise and where there is no signal.
    """

    def scale(self, level: Level) -> float:
        return level.alpha + level.sigma

    def variable(self, level: Level) -> float:
        return level.sigma / (level.alpha + level.sigma)

    def combine(self, x_0: Tensor, noise: Tensor) -> Tensor:
        return noise - x_0


@dataclass(frozen=True)
class Noise(Basis):
    """x/α against r = σ/α, slope ε: the form of DDIM (Song et al. 2021, eq. 14) and of EDM. Needs
    some signal everywhere, α > 0."""

    def scale(self, level: Level) -> float:
        return level.alpha

    def variable(self, level: Level) -> float:
        return level.sigma / level.alpha

    def combine(self, x_0: Tensor, noise: Tensor) -> Tensor:
        return noise
