"""Data for which everything is known: Gaussian mixtures, at every noise level."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.integrate import solve_ivp
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.processes import GaussianProcess, Moment
from hush.rng import Streams
from hush.schedules import Level
from hush.tensors import Condition

Means = Float64[Tensor, "k *event"]
Events = Float64[Tensor, "batch *event"]
States = Float[Tensor, "batch *event"]
Labels = Int64[Tensor, " batch"]
CLEAN = Level(0.0, 1.0, 0.0)


@dataclass(frozen=True)
class GaussianMixture:
    """x_0 ~ Σ_k w_k N(μ_k, v_k I), for events of any shape; one component is Gaussian data, v_k = 0
    a point.

    Noised to (α, σ) it is Σ_k w_k N(α μ_k, (α² v_k + σ²) I), and given x_t its component is k with
    probability r_k ∝ w_k N(x_t; α μ_k, (α² v_k + σ²) I). All else follows; arithmetic is float64.
    A `component` (batch,) holds each sample to one of them, -1 to none: a class to condition on.
    """

    weights: Float64[Tensor, " k"]
    means: Means
    variances: Float64[Tensor, " k"]

    @classmethod
    def of(
        cls, weights: Sequence[float], means: Sequence, variances: Sequence[float]
    ) -> "GaussianMixture":
        """From plain numbers, the weights scaled to sum to one.

        >>> GaussianMixture.of([1.0], [[0.7]], [0.25]).event
        torch.Size([1])
        """
        share, *others = (torch.tensor(v, dtype=torch.float64) for v in (weights, means, variances))
        return cls(share / share.sum(), *others)

    @property
    def event(self) -> torch.Size:
        """The shape of one sample."""
        return self.means.shape[1:]

    @property
    def mean(self) -> Float64[Tensor, "*event"]:
        """E[x_0]."""
        return torch.tensordot(self.weights, self.means, 1)

    @property
    def covariance(self) -> Float64[Tensor, "d d"]:
        """Cov[x_0] of the flattened event."""
        gaps = (self.means - self.mean).flatten(1)
        within = (self.weights @ self.variances) * torch.eye(gaps.shape[1], dtype=torch.float64)
        return within + torch.einsum("k,ki,kj->ij", self.weights, gaps, gaps)

    def sample(self, rng: Streams) -> Events:
        """Data, each from its own stream (two draws)."""
        bounds = self.weights.cumsum(0)[:-1]
        component = (rng.uniform().unsqueeze(1) > bounds).sum(1)
        spread = self.variances.sqrt()[component].reshape(-1, *(1,) * len(self.event))
        noise = rng.next().normal(tuple(self.event), torch.float64)
        return self.means[component] + spread * noise

    def log_prob(
        self, x: States, level: Level = CLEAN, component: Labels | None = None
    ) -> Float64[Tensor, " batch"]:
        """log p_t(x) in nats: the density of the mixture noised to `level`."""
        return self._parts(x, level, component)[0].logsumexp(1)

    def score(self, x: States, level: Level, component: Labels | None = None) -> States:
        """∇ log p_t(x) = -Σ_k r_k (x - α μ_k)/(α² v_k + σ²)."""
        logits, gaps, variance, _ = self._parts(x, level, component)
        return -torch.einsum("bk,bk...->b...", logits.softmax(1) / variance, gaps).to(x.dtype)

    def posterior(self, x: States, level: Level, component: Labels | None = None) -> Gaussian:
        """The exact mean and the exact variance, element by element, of x_0 given x_t = x:

        m_k = μ_k + α v_k/(α² v_k + σ²) (x - α μ_k), E = Σ_k r_k m_k,
        Var = Σ_k r_k (σ² v_k/(α² v_k + σ²) + (m_k - E)²).
        """
        logits, gaps, variance, (alpha, sigma) = self._parts(x, level, component)
        shares = logits.softmax(1)
        gain = alpha * self.variances / variance
        means = self.means + gain.reshape(*gain.shape, *(1,) * len(self.event)) * gaps
        mean = torch.einsum("bk,bk...->b...", shares, means)
        within = (shares * sigma**2 * self.variances / variance).sum(1)
        between = torch.einsum("bk,bk...->b...", shares, (means - mean.unsqueeze(1)) ** 2)
        spread = within.reshape(-1, *(1,) * len(self.event)) + between
        return Gaussian(mean.to(x.dtype), spread.to(x.dtype))

    def _parts(
        self, x: Tensor, level: Level, component: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """log w_k N(x; α μ_k, ·), x - α μ_k, α² v_k + σ² and (α, σ): (batch, k, *event) or less."""
        alpha, sigma = (
            torch.as_tensor(scale, dtype=torch.float64).reshape(-1, 1)
            for scale in (level.alpha, level.sigma)
        )
        variance = alpha**2 * self.variances + sigma**2
        centres = alpha.reshape(-1, 1, *(1,) * len(self.event)) * self.means
        gaps = x.double().unsqueeze(1) - centres
        distance = (gaps**2).flatten(2).sum(2)
        size = math.prod(self.event)
        logits = self.weights.log() - 0.5 * (distance / variance + size * variance.log())
        logits = logits - 0.5 * size * math.log(math.tau)
        if component is not None:
            chosen = component.unsqueeze(1)
            others = torch.arange(len(self.weights)) != chosen
            held = torch.where(others, -math.inf, logits - self.weights.log())
            logits = torch.where(chosen < 0, logits, held)
        return logits, gaps, variance.expand(len(x), -1), (alpha, sigma)


class MixtureDenoiser(Denoiser):
    """The denoiser that is never wrong on its mixture; `cond` (batch,) may name the component.

    It answers with the exact mean and variance, or with `spread=False` the mean alone, which is
    what a trained network says: the walk is then the probability-flow ODE at eta 0.
    """

    def __init__(
        self, process: GaussianProcess, mixture: GaussianMixture, spread: bool = True
    ) -> None:
        super().__init__()
        self.process, self.mixture, self.spread = process, mixture, spread

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        belief = self.mixture.posterior(x_t, self.process.schedule.level(t), cond)
        return belief if self.spread else Gaussian(belief.mean)


def flow_map(mixture: GaussianMixture, x: States, level: Level) -> States:
    """Where the probability-flow ODE takes x from `level` to the data, to about 1e-11.

    In y = x/(α + σ) against τ = σ/(α + σ) every schedule is the same flow dy/dτ = ε - x_0, and with
    ε = -τ ∇ log p no difference of large numbers is taken. Solved by scipy's DOP853.
    """

    def slope(tau: float, y: np.ndarray) -> np.ndarray:
        state = torch.from_numpy(y).reshape(x.shape)
        at = Level(tau, 1.0 - tau, tau)
        noise = -tau * mixture.score(state, at)
        return (noise - mixture.posterior(state, at).mean).flatten().numpy()

    total = level.alpha + level.sigma
    start = (x.double() / total).flatten().numpy()
    flow = solve_ivp(
        slope, (level.sigma / total, 0.0), start, method="DOP853", rtol=1e-12, atol=1e-13
    )
    return torch.from_numpy(flow.y[:, -1].copy()).reshape(x.shape)
