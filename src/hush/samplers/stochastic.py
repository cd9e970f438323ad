"""The reverse SDE, stepped in the schedule's own time."""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.errors import UserError
from hush.samplers.base import Sampler, State
from hush.schedules import Level, Schedule
from hush.tensors import Condition, Number, Terms, times

# Of the signal over a step: beyond it Euler's line, 1 - log growth, turns the noise round.
GROWTH = math.e


def rates_of(schedule: Schedule, t: Level) -> tuple[Number, Number]:
    """(f, g²) of dx = f x dt + g dw at a level: f = α'/α, g² = 2σσ' - 2fσ². Needs α > 0."""
    alpha_rate, sigma_rate = schedule.rates(t)
    f = alpha_rate / t.alpha
    return f, 2.0 * t.sigma * (sigma_rate - f * t.sigma)


def score_of(belief: Gaussian, x: Tensor, t: Level) -> Terms:
    """∇ log p_t(x) = (α x_0 - x)/σ², where x_0 is the belief's mean at x, not added up yet."""
    precision = t.sigma**-2.0
    return ((-precision, x), *times(t.alpha * precision, belief.terms))


@dataclass(frozen=True)
class EulerMaruyama(Sampler):
    """Euler's step of dx = [f x - ½(1 + τ²) g² ∇log p] dt + τ g dw, backwards in time, with
    f = α'/α and g² = 2σσ' - 2fσ²: τ = 1 the reverse SDE, 0 the probability-flow ODE.

    Of weak order 1. The last step, into σ = 0, lands on the belief's mean. A step over which the
    signal grows more than e-fold, out of nothing even, is none for Euler (f may be infinite): that
    one is drawn from the process's own reverse law, η = min(τ, 1).
    """

    tau: float = 1.0

    cite: ClassVar[str] = (
        "Song et al. 2021, Score-based generative modeling through stochastic differential "
        "equations"
    )

    def __post_init__(self) -> None:
        if self.tau < 0.0:
            raise UserError(f"tau, the share of noise, must not be negative, got {self.tau}.")

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, process = state.x, state.t, denoiser.process
        belief = denoiser(x, t, cond)
        if s.sigma == 0.0:
            return state.moved(belief.mean, s)
        if s.alpha > GROWTH * t.alpha:
            law = process.reverse(belief, x, s, t, min(self.tau, 1.0))
            return state.moved(law.sample(state.rng), s)
        f, g2 = rates_of(process.schedule, t)
        width, noise = t.time - s.time, self.tau**2
        push = times(0.5 * width * (1.0 + noise) * g2, score_of(belief, x, t))
        mean = ((1.0 - width * f, x), *push)
        law = Gaussian.of(mean, noise * g2 * width, process.noise)
        return state.moved(law.sample(state.rng), s)


@dataclass(frozen=True)
class ReverseDiffusion(Sampler):
    """The reverse SDE in the very steps of the forward one: with q(x_t | x_s) = N(a x_s, b² I),
    x_s = (2 - a) x_t + b² ∇log p_t(x_t) + b z.

    Of weak order 1, and finite on every schedule; the last step, into σ = 0, lands on the mean of
    the belief.
    """

    cite: ClassVar[str] = (
        "Song et al. 2021, Score-based generative modeling through stochastic differential "
        "equations, section 4.1 and appendix E"
    )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, process = state.x, state.t, denoiser.process
        belief = denoiser(x, t, cond)
        if s.sigma == 0.0:
            return state.moved(belief.mean, s)
        a = t.alpha / s.alpha
        variance = t.sigma**2 - a**2 * s.sigma**2
        mean = ((2.0 - a, x), *times(variance, score_of(belief, x, t)))
        return state.moved(Gaussian.of(mean, variance, process.noise).sample(state.rng), s)
