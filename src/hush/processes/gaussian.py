"""The Gaussian forward process, for any schedule and any noise law."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from hush.distributions import Gaussian
from hush.errors import UserError
from hush.noise import NoiseLaw, White, with_density
from hush.processes.base import Moment, Process
from hush.schedules import Schedule, Tabulated
from hush.tensors import expand, times

State = Float[Tensor, " batch *event"]


@dataclass(frozen=True)
class GaussianProcess(Process):
    """q(x_t | x_0) = N(α_t x_0, σ_t² Σ), Σ being the covariance of `noise`: I where it is white.

    All four laws draw through `noise`. Where it is not Gaussian they have the right means and
    covariances, no more: two draws added are not another draw.
    Ho et al. 2020; for any s < t as in Kingma et al. 2021, "Variational diffusion models", app. A.
    """

    schedule: Schedule = field(default_factory=Tabulated)
    noise: NoiseLaw = field(default_factory=White)

    def prior(self, shape: tuple[int, ...], like: Tensor) -> Gaussian:
        """N(0, (α_1² + σ_1²) Σ): the law at t = 1 of data with mean zero and covariance Σ."""
        level = self.schedule.level(1.0)
        return Gaussian(like.new_zeros(shape), level.alpha**2 + level.sigma**2, self.noise)

    def marginal(self, x_0: State, t: Moment) -> Gaussian:
        """N(α_t x_0, σ_t² Σ)."""
        level = self.schedule.level(t)
        return Gaussian(expand(level.alpha, x_0) * x_0, level.sigma**2, self.noise)

    def transition(self, x_s: State, s: Moment, t: Moment) -> Gaussian:
        """N(α_{t|s} x_s, σ_{t|s}² Σ), α_{t|s} = α_t/α_s, σ_{t|s}² = σ_t² - α_{t|s}² σ_s²."""
        s, t = self.schedule.level(s), self.schedule.level(t)
        signal = t.alpha / s.alpha
        variance = t.sigma**2 - signal**2 * s.sigma**2
        return Gaussian(expand(signal, x_s) * x_s, variance, self.noise)

    def reverse(
        self, posterior: Gaussian, x_t: State, s: Moment, t: Moment, eta: float = 1.0
    ) -> Gaussian:
        """The non-Markovian family of DDIM, with the belief's own variance carried through.

        Given x_0, with the fresh variance f = η² σ_s² σ_{t|s}²/σ_t² and k = √(σ_s² - f)/σ_t,
        q(x_s | x_t, x_0) = N(k x_t + (α_s - k α_t) x_0, f Σ).
        Averaged over x_0 ~ posterior (two moments matched) its mean takes the posterior's, and its
        variance gains (α_s - k α_t)² Var[x_0].
        η = 1 is DDPM's posterior, η = 0 deterministic. Song et al. 2021, "Denoising diffusion
        implicit models", eq. 7; the variance as in Bao et al. 2022, "Analytic-DPM", eq. 7.

        Raises:
            UserError: the belief has a variance, of another noise than the process's.
        """
        s, t = self.schedule.level(s), self.schedule.level(t)
        remain = (s.sigma * t.alpha / (s.alpha * t.sigma)) ** 2  # 1 - σ_{t|s}²/σ_t²
        fresh = eta**2 * (1.0 - remain) * s.sigma**2
        keep = s.sigma / t.sigma * (1.0 - eta**2 + eta**2 * remain) ** 0.5
        pull = s.alpha - keep * t.alpha
        mean = ((keep, x_t), *times(pull, posterior.terms))
        if posterior.is_point:
            return Gaussian.of(mean, fresh, self.noise)
        if posterior.noise != self.noise:
            raise UserError(
                f"The belief's variance is of {posterior.noise}, the process's of {self.noise}: "
                "they do not add. Give the belief the process's noise, or no variance."
            )
        variance = expand(fresh, x_t) + expand(pull, x_t) ** 2 * posterior.spread
        return Gaussian.of(mean, variance, self.noise)

    def certain(self, x_0: State) -> Gaussian:
        return Gaussian(x_0, 0.0, self.noise)

    def seen(self, x_t: State, t: Moment) -> Gaussian:
        """N(x_t/α_t, σ_t²/α_t² Σ)."""
        level = self.schedule.level(t)
        mean = x_t / expand(level.alpha, x_t)
        return Gaussian(mean, (level.sigma / level.alpha) ** 2, self.noise)

    def rate(
        self, x_0: State, posterior: Gaussian, x_t: State, t: Moment
    ) -> Float[Tensor, " batch"]:
        """-½ d(α²/σ²)/dt ‖Σ^-½ (x_0 - x̂_0)‖². Kingma et al. 2021, eq. 17."""
        level = self.schedule.level(t)
        alpha_rate, sigma_rate = self.schedule.rates(level)
        fall = level.alpha * (level.alpha * sigma_rate - alpha_rate * level.sigma) / level.sigma**3
        squares = with_density(self.noise).whiten(x_0 - posterior.mean) ** 2
        return torch.as_tensor(fall).to(squares) * squares.flatten(1).sum(1)
