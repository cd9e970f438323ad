"""Exact answers to test against."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.processes import GaussianProcess, Moment
from hush.tensors import expand


class GaussianMixture:
    """Σ_k w_k N(μ_k, v_k I) in D dimensions, in float64."""

    def __init__(
        self,
        weights: Float64[Tensor, " k"],
        means: Float64[Tensor, "k d"],
        variances: Float64[Tensor, " k"],
    ) -> None:
        self.weights, self.means, self.variances = weights, means, variances


class MixtureDenoiser(Denoiser):
    def __init__(self, process, mixture):
        super().__init__()
        self.process, self.mixture = process, mixture

    def forward(self, x_t, t, cond=None):
        level = self.process.schedule.level(t)
        m = self.mixture
        a = level.alpha if not isinstance(level.alpha, Tensor) else level.alpha.reshape(-1, 1)
        s2 = (
            level.sigma if not isinstance(level.sigma, Tensor) else level.sigma.reshape(-1, 1)
        ) ** 2
        v = a * a * m.variances + s2
        gap = x_t[:, None, :] - (a[..., None] if isinstance(a, Tensor) else a) * m.means
        logw = m.weights.log() - 0.5 * (gap**2).sum(-1) / v - 0.5 * m.means.shape[1] * (v).log()
        r = logw.softmax(-1)
        mean_k = m.means + (a * m.variances / v)[..., None] * gap
        return Gaussian((r[..., None] * mean_k).sum(1))
