"""How sure a belief about numbers is: the variance of x_0 given x_t.

The variance of a reverse step follows: f + (α_s - k α_t)² Var[x_0 | x_t] in the symbols of
`GaussianProcess.reverse`, for every step and every eta. So Var = 0 is the lower of DDPM's two fixed
choices (β̃), `Unit` the upper (β), and what lies between can be learned or measured.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hush.schedules import Level, Schedule, Tabulated
from hush.tensors import Number, expand

State = Float[Tensor, " batch *event"]


class Variance(ABC):
    """Var[x_0 | x_t] of a belief. `heads` is how many outputs, each of the data's shape, a network
    adds to its mean for it: 0 or 1."""

    heads: int = 0

    @abstractmethod
    def __call__(
        self, schedule: Schedule, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        """The variance at a level: a number, (batch,), or (batch, *event)."""


@dataclass(frozen=True)
class Zero(Variance):
    """0: the belief is its mean, and DDPM's reverse step has β̃, right for data that are a point."""

    def __call__(
        self, schedule: Schedule, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        return 0.0


@dataclass(frozen=True)
class Unit(Variance):
    """σ²/(α² + σ²), right for independent data of variance one: DDPM's reverse step has β at every
    step. Ho et al. 2020, section 3.2."""

    def __call__(
        self, schedule: Schedule, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        return level.sigma**2 / (level.alpha**2 + level.sigma**2)


@dataclass(frozen=True)
class Interpolated(Variance):
    """Between the two fixed choices, as the network says: the step t → t - 1 of the chain has
    variance exp(v log β_t + (1 - v) log β̃_t), v = (head + 1)/2, with β̃_2 in place of β̃_1 = 0.
    Where that is below β̃_t the belief is a point.

    Nichol and Dhariwal 2021, "Improved denoising diffusion probabilistic models", eq. 15. Longer
    steps follow from the Var[x_0] that this means, and not from their own β and β̃.
    """

    heads: int = 1

    def __call__(
        self, schedule: Tabulated, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        before = schedule.level(_at_least(level.time - 1.0 / schedule.steps, 0.0))
        beta = 1.0 - (level.alpha / before.alpha) ** 2
        small = beta * (before.sigma / level.sigma) ** 2
        pull = before.alpha * beta / level.sigma**2
        first, second = (schedule.level(step / schedule.steps) for step in (1.0, 2.0))
        least = (1.0 - (second.alpha / first.alpha) ** 2) * (first.sigma / second.sigma) ** 2
        floor = _at_least(small, least if schedule.steps > 1 else first.sigma**2)
        v = 0.5 * (head + 1.0)
        log_low, log_high = (expand(_log(value), x_t) for value in (floor, beta))
        step = (v * (log_high - log_low) + log_low).exp()
        return _at_zero(step - expand(small, x_t), 0.0) / expand(pull, x_t) ** 2


def _at_zero(value: Tensor, least: float) -> Tensor:
    """Held to `least`, the gradient passing as if it were not: what fell too low can come back."""
    return torch.where(value > least, value, least + value - value.detach())


def _at_least(value: Number, least: float) -> Number:
    return value.clamp(min=least) if isinstance(value, Tensor) else max(value, least)


def _log(value: Number) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).log()


@dataclass(frozen=True)
class Analytic(Variance):
    """One measured variance per noise level, the best there is for a given mean: `shares` of
    `Unit`'s variance at the `times` (increasing), straight lines between. `likelihoods.analytic`
    measures them.

    Bao et al. 2022, "Analytic-DPM: an analytic estimate of the optimal reverse variance in
    diffusion probabilistic models", eq. 7 to 9; every sub-sequence and every eta follow from it.
    """

    times: tuple[float, ...] = (0.0, 1.0)
    shares: tuple[float, ...] = (0.5, 0.5)

    def __call__(
        self, schedule: Schedule, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        unit = level.sigma**2 / (level.alpha**2 + level.sigma**2)
        if not isinstance(level.time, Tensor):
            return unit * self._share(torch.tensor([level.time], dtype=torch.float64)).item()
        return unit * self._share(level.time)

    def _share(self, time: Tensor) -> Tensor:
        times, shares = (
            torch.tensor(row, dtype=torch.float64, device=time.device)
            for row in (self.times, self.shares)
        )
        after = torch.searchsorted(times, time).clamp(1, len(times) - 1)
        part = (time - times[after - 1]) / (times[after] - times[after - 1])
        return torch.lerp(shares[after - 1], shares[after], part.clamp(0.0, 1.0))


def from_score(level: Level, gamma: Number) -> Number:
    """Var[x_0 | x_t] = σ²/α² (1 - Γ) of an exact mean, averaged over x_t, with Γ = E‖ε̂‖²/D the mean
    square of the noise it predicts. Bao et al. 2022, eq. 8."""
    return (level.sigma / level.alpha) ** 2 * (1.0 - gamma)


@dataclass(frozen=True)
class Residual(Variance):
    """σ²/α² softplus(head): the network says E[(ε - ε̂)² | x_t], element by element (NPR-DPM).

    Bao et al. 2022, "Estimating the optimal covariance with imperfect mean in diffusion
    probabilistic models", section 4.2; there the head is a plain number.
    """

    heads: int = 1

    def __call__(
        self, schedule: Schedule, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        return expand(level.sigma / level.alpha, x_t) ** 2 * torch.nn.functional.softplus(head)


@dataclass(frozen=True)
class SecondMoment(Variance):
    """σ²/α² (softplus(head) - ε̂²): the network says E[ε² | x_t], element by element (SN-DPM). Where
    it says less than ε̂² the variance is held above 0, and its gradient still passes.

    Bao et al. 2022, "Estimating the optimal covariance with imperfect mean", section 4.1.
    """

    heads: int = 1
    least: float = 1e-6

    def __call__(
        self, schedule: Schedule, level: Level, x_t: State, mean: State, head: State | None
    ) -> Number:
        alpha, sigma = expand(level.alpha, x_t), expand(level.sigma, x_t)
        noise = (x_t - alpha * mean) / sigma
        rest = torch.nn.functional.softplus(head) - noise**2
        return (sigma / alpha) ** 2 * _at_zero(rest, self.least)
