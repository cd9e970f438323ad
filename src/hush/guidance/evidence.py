"""Guidance by the gradient of a likelihood: what is known of the answer, weighed at every step."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance.base import Guidance
from hush.noise import with_density
from hush.processes import Moment
from hush.schedules import Level
from hush.tensors import Condition, expand

Weigh = Callable[[Denoiser, Tensor, Level, Condition | None], tuple[Gaussian, Tensor]]


class Evidence(Guidance):
    """A guidance that knows the gradient in x_t of a log p(y | x_t).

    By Bayes' rule it adds to the score, so by Tweedie's formula x̂_0 = (x_t + σ² Σ score)/α,
    x̂_0 ← x̂_0 + σ²/α Σ ∇ log p(y | x_t), Σ being the covariance of the process's noise. The rest of
    the belief, its variance, stays. Where there is no signal (α = 0) x_t says nothing of y and its
    score says nothing of x_0, so there, as where there is no noise, the mean is left alone.

    Raises:
        UserError: the model is not of a Gaussian process, or its noise has no density.
    """

    @property
    @abstractmethod
    def speaks(self) -> bool:
        """Whether anything is known at all; if not the guidance is none."""

    @abstractmethod
    def weigh(
        self, denoiser: Denoiser, x_t: Tensor, level: Level, cond: Condition | None
    ) -> tuple[Gaussian, Tensor]:
        """The belief before the evidence, and ∇ log p(y | x_t) (batch, *event)."""

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        if not self.speaks:
            return denoiser
        self._only_gaussian(denoiser)
        with_density(denoiser.process.noise)
        return Informed(denoiser, self.weigh)


class Informed(Denoiser):
    """What `Evidence` makes: the belief moved along the gradient that `weigh` finds."""

    def __init__(self, denoiser: Denoiser, weigh: Weigh) -> None:
        super().__init__()
        self.denoiser, self.process, self.weigh = denoiser, denoiser.process, weigh

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        level, noise = self.process.schedule.level(t), self.process.noise
        belief, slope = self.weigh(self.denoiser, x_t, level, cond)
        alpha, sigma = (
            torch.as_tensor(scale, dtype=torch.float64, device=x_t.device)
            for scale in (level.alpha, level.sigma)
        )
        gain = expand(torch.where(alpha > 0.0, sigma**2 / alpha, 0.0), x_t)
        push = torch.where(gain > 0.0, gain * noise.colour(noise.colour(slope)), 0.0)
        return replace(belief, mean=belief.mean + push)


def ascend(
    log_prob: Callable[[Tensor], tuple[Tensor, Gaussian | None]], x_t: Tensor
) -> tuple[Tensor, Gaussian | None]:
    """The gradient at x_t of a log-probability (batch,), that of each sample alone, and the belief
    that it was found with, if any.

    Walks run without gradients, so they are recorded here alone, and dropped; a caller who records
    gradients gets an answer that can be differentiated again.
    """
    recording = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x_t if recording and x_t.requires_grad else x_t.detach().requires_grad_()
        value, belief = log_prob(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=recording)
    return slope, belief if recording or belief is None else _cut(belief)


def through(
    denoiser: Denoiser,
    log_prob: Callable[[Gaussian], Tensor],
    x_t: Tensor,
    level: Level,
    cond: Condition | None,
) -> tuple[Gaussian, Tensor]:
    """The belief about x_0, and the gradient at x_t of a log-probability (batch,) of it, through
    the denoiser, that of each sample alone."""

    def seen(x: Tensor) -> tuple[Tensor, Gaussian]:
        belief = denoiser(x, level, cond)
        return log_prob(belief), belief

    slope, belief = ascend(seen, x_t)
    return belief, slope


def _cut(belief: Gaussian) -> Gaussian:
    """The belief without its way back to x_t."""
    variance = belief.variance
    fixed = variance.detach() if isinstance(variance, Tensor) else variance
    return replace(belief, mean=belief.mean.detach(), variance=fixed)
