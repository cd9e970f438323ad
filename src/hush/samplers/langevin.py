"""Langevin dynamics: alone, level after level, or to correct what another sampler did."""

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.samplers.base import Sampler, State
from hush.samplers.stochastic import GROWTH, ReverseDiffusion, score_of
from hush.schedules import Level
from hush.tensors import Condition, Terms, per_sample, times, total


@dataclass(frozen=True)
class AnnealedLangevin(Sampler):
    """`repeats` Langevin updates at every level, x ← x + ½δσ² ∇log p(x) + σ√δ z, δ = `step_size`.

    The step is in units of σ²: the paper's ε σ_i²/σ_L² with ε = 2e-5, σ_L = 0.01 is δ = 0.2. At a
    level of its own the law comes out too wide, by 1/(1 - δ/4) at most. On the way from one level
    to the next x is scaled by α_s/α_t, which keeps the data in it, or, where the signal grows more
    than e-fold (out of nothing even), by σ_s/σ_t, which keeps the noise. Into σ = 0 it ends on the
    belief's mean, the final denoising step of later work.
    """

    repeats: int = 10
    step_size: float = 0.2

    cite: ClassVar[str] = (
        "Song, Ermon 2019, Generative modeling by estimating gradients of the data distribution; "
        "Song, Ermon 2020, Improved techniques for training score-based generative models"
    )

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise UserError(f"Langevin makes at least 1 update a level, got {self.repeats}.")
        if not 0.0 < self.step_size < 4.0:
            raise UserError(
                f"A Langevin step of δσ² converges for δ between 0 and 4, got {self.step_size}: "
                "the paper's is 0.2."
            )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, rng = state.x, state.t, state.rng
        if s.sigma == 0.0:
            return state.moved(denoiser(x, t, cond).mean, s)
        x = x * (s.sigma / t.sigma if s.alpha > GROWTH * t.alpha else s.alpha / t.alpha)
        width = 0.5 * self.step_size * s.sigma**2
        for draw in range(self.repeats):
            score = score_of(denoiser(x, s, cond), x, s)
            noise = denoiser.process.noise(rng.next(draw), tuple(x.shape[1:]), x.dtype)
            x = total(((1.0, x), *times(width, score), ((2.0 * width) ** 0.5, noise)))
        return replace(state.moved(x, s), rng=rng.next(self.repeats))


@dataclass(frozen=True)
class PredictorCorrector(Sampler):
    """After every step of `sampler`, `repeats` Langevin updates at the level it came to,
    x ← x + e ∇log p + √(2e) z, but none at σ = 0.

    size  "deviation": e = 2a (snr σ)²; "norms": e = 2a (snr ‖z‖/‖∇log p‖)², at most σ²

    a = (α_t/α_s)² is what the step before it left of the signal's power, 1 - β of a chain. The
    norms are of each sample, where the published code averages them over its batch. So they see
    the very noise and state they scale, and pull Gaussian data of n numbers toward a variance
    (1 + 2/n)² too large: nothing for pictures, ruin for a few numbers.

    An inner sampler that remembers begins anew after a correction.
    """

    sampler: Sampler = field(default_factory=ReverseDiffusion)
    repeats: int = 1
    snr: float = 0.16
    size: Literal["deviation", "norms"] = "deviation"

    cite: ClassVar[str] = (
        "Song et al. 2021, Score-based generative modeling through stochastic differential "
        "equations, appendix G"
    )

    def __post_init__(self) -> None:
        if self.repeats < 0:
            raise UserError(f"repeats must not be negative, got {self.repeats}.")
        if not 0.0 < self.snr < 1.0:
            raise UserError(f"snr must be between 0 and 1, got {self.snr}: the paper's is 0.16.")

    @property
    def order(self) -> int:
        """The inner sampler's."""
        return self.sampler.order

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        after = self.sampler.step(denoiser, state, s, cond)
        if s.sigma == 0.0:
            return after
        kept = (state.t.alpha / s.alpha) ** 2
        for _ in range(self.repeats):
            x = after.x
            score = score_of(denoiser(x, s, cond), x, s)
            noise = denoiser.process.noise(after.rng, tuple(x.shape[1:]), x.dtype)
            width = 2.0 * kept * self.snr**2 * self._size(noise, score, s)
            x = total(((1.0, x), *times(width, score), ((2.0 * width) ** 0.5, noise)))
            after = replace(after, x=x, rng=after.rng.next(), memory=())
        return after

    def _size(self, noise: Tensor, score: Terms, s: Level) -> float | Tensor:
        """The step before its factor 2a·snr²."""
        if self.size == "deviation":
            return s.sigma**2
        squares = per_sample(noise**2) / per_sample(total(score) ** 2)
        return torch.clamp(squares, max=0.5 * (s.sigma / self.snr) ** 2)
