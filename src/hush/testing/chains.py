"""Gaussian data with a full covariance, for which every affine walk is known exactly."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.distributions import Gaussian
from hush.rng import Streams
from hush.schedules import Level

Series = Float64[Tensor, "batch length"]
Square = Float64[Tensor, "length length"]


@dataclass(frozen=True)
class GaussianChain:
    """x_0 ~ N(m, Σ), Σ_ij = variance·ρ^|i-j|: a stationary Markov chain in continuous space,
    x_i - m = ρ (x_{i-1} - m) + √(variance (1 - ρ²)) ε.

    Noised to (α, σ) it is N(α m, α² Σ + σ² I). ρ = 0 is independent data, variance 0 a point.
    """

    length: int = 4
    correlation: float = 0.8
    variance: float = 0.25
    mean: float = 0.7

    @cached_property
    def _axes(self) -> tuple[Float64[Tensor, " length"], Square]:
        """The eigenvalues and eigenvectors of Σ."""
        place = torch.arange(self.length, dtype=torch.float64)
        gaps = (place - place.unsqueeze(1)).abs()
        values, vectors = torch.linalg.eigh(self.variance * self.correlation**gaps)
        return values.clamp(min=0.0), vectors

    def sample(self, rng: Streams) -> Series:
        """Data, each from its own stream (one draw)."""
        return self.noised(rng.normal((self.length,), torch.float64), Level(0.0, 1.0, 0.0))

    def noised(self, z: Series, level: Level) -> Series:
        """α m + (α² Σ + σ² I)^½ z: white noise to the exact law at a level."""
        vectors = self._axes[1]
        return level.alpha * self.mean + z @ (vectors * self._deviations(level)) @ vectors.T

    def whitened(self, x: Series, level: Level) -> Series:
        """(x - α m) along the axes of Σ, over its standard deviations there: white noise where x
        follows the law at a level."""
        return (x.double() - level.alpha * self.mean) @ self._axes[1] / self._deviations(level)

    def posterior(self, x: Series, level: Level) -> Gaussian:
        """E[x_0 | x_t] = m + α Σ (α² Σ + σ² I)^-1 (x_t - α m)."""
        values, vectors = self._axes
        gain = level.alpha * values / self._deviations(level) ** 2
        return Gaussian(self.mean + (x - level.alpha * self.mean) @ (vectors * gain) @ vectors.T)

    def flow(self, x: Series, level: Level) -> Series:
        """Where the probability-flow ODE takes x from a level to the data:
        m + Σ^½ (α² Σ + σ² I)^-½ (x - α m)."""
        values, vectors = self._axes
        gain = values.sqrt() / self._deviations(level)
        return self.mean + (x - level.alpha * self.mean) @ (vectors * gain) @ vectors.T

    def _deviations(self, level: Level) -> Float64[Tensor, " length"]:
        return (level.alpha**2 * self._axes[0] + level.sigma**2).sqrt()
