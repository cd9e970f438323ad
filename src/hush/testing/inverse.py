"""Inverse problems whose answer is known: Gaussian data, measured linearly."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance.operators import Linear
from hush.processes import GaussianProcess, Moment
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition
from hush.testing.claims import agree
from hush.testing.schedules import check_frozen

Vectors = Float64[Tensor, "batch d"]


@dataclass(frozen=True)
class FullGaussian:
    """x_0 ~ N(m, Σ) of vectors, with any covariance; m is one mean (d,) or one per sample.

    Noised to (α, σ) it is N(α m, α² Σ + σ² I).
    """

    mean: Float64[Tensor, "*batch d"]
    covariance: Float64[Tensor, "d d"]

    def sample(self, rng: Streams) -> Vectors:
        """Data, each from its own stream (one draw)."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root = vectors * values.clamp(min=0.0).sqrt()
        return self.mean + rng.normal((len(values),), torch.float64) @ root.T

    def posterior(self, x: Vectors, level: Level) -> Gaussian:
        """The exact mean m + G (x_t - α m), G = α Σ (α² Σ + σ² I)⁻¹, and the exact variance of each
        element, the diagonal of Σ - α G Σ."""
        eye = torch.eye(len(self.covariance), dtype=torch.float64)
        noised = level.alpha**2 * self.covariance + level.sigma**2 * eye
        gain = level.alpha * torch.linalg.solve(noised, self.covariance).T
        left = (self.covariance - level.alpha * gain @ self.covariance).diagonal()
        mean = self.mean + (x - level.alpha * self.mean) @ gain.T
        return Gaussian(mean, left.expand_as(mean))

    def score(self, x: Vectors, level: Level) -> Vectors:
        """∇ log p_t(x) = -(α² Σ + σ² I)⁻¹ (x - α m)."""
        eye = torch.eye(len(self.covariance), dtype=torch.float64)
        noised = level.alpha**2 * self.covariance + level.sigma**2 * eye
        return -torch.linalg.solve(noised, (x - level.alpha * self.mean).T).T


@dataclass(frozen=True)
class LinearGaussian:
    """y = H x_0 + n, x_0 ~ `data`, n ~ N(0, noise² I)."""

    data: FullGaussian
    matrix: Float64[Tensor, "m d"]
    noise: float

    def measure(self, x_0: Vectors, rng: Streams) -> Float64[Tensor, "batch m"]:
        """y, with noise of each sample's own stream (one draw)."""
        noise = rng.normal((len(self.matrix),), torch.float64)
        return x_0 @ self.matrix.T + self.noise * noise

    def given(self, y: Float64[Tensor, "batch m"]) -> FullGaussian:
        """The law of x_0 once y is known: N(m + K (y - H m), Σ - K H Σ),
        K = Σ Hᵀ (H Σ Hᵀ + noise² I)⁻¹."""
        matrix, prior = self.matrix, self.data
        eye = torch.eye(len(matrix), dtype=torch.float64)
        spread = matrix @ prior.covariance @ matrix.T + self.noise**2 * eye
        gain = torch.linalg.solve(spread, matrix @ prior.covariance).T
        mean = prior.mean + (y - prior.mean @ matrix.T) @ gain.T
        return FullGaussian(mean, prior.covariance - gain @ matrix @ prior.covariance)


class FullGaussianDenoiser(Denoiser):
    """The denoiser that is never wrong on such data; with `spread=False` it says the mean alone."""

    def __init__(self, process: GaussianProcess, data: FullGaussian, spread: bool = True) -> None:
        super().__init__()
        self.process, self.data, self.spread = process, data, spread

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        belief = self.data.posterior(x_t, self.process.schedule.level(t))
        return belief if self.spread else Gaussian(belief.mean)


def check_linear(operator: Linear, event: tuple[int, ...]) -> None:
    """A measurement is linear, and its parts belong together, to 1e-12.

    - `adjoint` is its transpose: ⟨H x, y⟩ = ⟨x, Hᵀ y⟩;
    - `pseudo_inverse` is Moore's and Penrose's: H H⁺ H = H and H⁺ H H⁺ = H⁺, both products
      symmetric;
    - `solve` undoes H V Hᵀ + noise on what H reaches, for variances element by element;
    - each sample is measured by itself.
    """
    check_frozen(operator)
    name = type(operator).__name__
    rng = Streams.of(22, math.prod(event) + 2)
    x, other = rng.normal(event, torch.float64), rng.next().normal(event, torch.float64)
    seen = operator(x)
    y = rng.next(2).normal(tuple(seen.shape[1:]), torch.float64)
    linear = 2.0 * seen - 3.0 * operator(other)
    agree(operator(2.0 * x - 3.0 * other), linear, 1e-12, f"{name} of a sum")
    agree(_dot(seen, y), _dot(x, operator.adjoint(y)), 1e-12, f"⟨H x, y⟩ of {name}")
    inverse = operator.pseudo_inverse
    agree(operator(inverse(seen)), seen, 1e-12, f"H H⁺ H of {name}")
    agree(inverse(operator(inverse(y))), inverse(y), 1e-12, f"H⁺ H H⁺ of {name}")
    back = _dot(other, inverse(seen)), _dot(inverse(operator(other)), x)
    agree(*back, 1e-12, f"⟨x, H⁺ H x'⟩ of {name}, either way")
    again = operator(inverse(y))
    agree(_dot(again, seen), _dot(y, seen), 1e-12, f"⟨H H⁺ y, H x⟩ of {name}")
    variance = 0.5 + rng.next(3).uniform(event)
    for noise in (0.0, 0.3):
        through = operator(variance * operator.adjoint(again)) + noise * again
        found = operator.solve(through, variance, noise)
        agree(operator.adjoint(found), operator.adjoint(again), 1e-11, f"solve of {name}")
    agree(operator(x[:1]), seen[:1], 1e-12, f"{name} of one sample, alone and in a batch")


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
