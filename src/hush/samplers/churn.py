"""Churn: any sampler, with a little noise added before every step."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.samplers.base import Sampler, State
from hush.samplers.paths import Path
from hush.samplers.solvers import Heun
from hush.schedules import Level
from hush.tensors import Condition

_MOST = math.sqrt(2.0) - 1.0  # a step up adds at most as much noise as there is


class Memory(NamedTuple):
    """The path √n Z(log n) of the walk's Brownian motion, its value now, how many steps were taken
    along it, and what the inner sampler remembers."""

    path: Path
    motion: Tensor
    taken: int = 0
    inner: Any = ()


@dataclass(frozen=True)
class Churn(Sampler):
    """Before every step of `sampler`, up to where σ/α is 1 + γ times what it was, by the process's
    own noise times `noise`; then down from there. γ = min(churn/steps, √2 - 1) while σ/α lies
    between `ratio_min` and `ratio_max`, else 0; never above t = 1.

    With the basis `Noise` on the schedule `EDM` it is EDM's stochastic sampler; the defaults are
    those of its ImageNet model. CIFAR-10's: churn 30, ratios 0.01 to 1, noise 1.007.
    The noise is the increments of one Brownian motion over the share of the walk that is done, so
    a finer walk of the same seed follows the same path. An inner sampler that remembers begins
    anew after a step up, as in `walk`.
    """

    sampler: Sampler = field(default_factory=Heun)
    churn: float = 40.0
    ratio_min: float = 0.05
    ratio_max: float = 50.0
    noise: float = 1.003

    cite: ClassVar[str] = (
        "Karras, Aittala, Aila, Laine 2022, Elucidating the design space of diffusion-based "
        "generative models, algorithm 2 and table 5"
    )

    def __post_init__(self) -> None:
        if self.churn < 0.0 or self.noise < 0.0:
            raise UserError(
                f"churn and noise must not be negative, got {self.churn} and {self.noise}."
            )
        if not self.ratio_min <= self.ratio_max:
            raise UserError(
                f"ratio_min must be at most ratio_max, got {self.ratio_min} and {self.ratio_max}."
            )

    @property
    def order(self) -> int:
        """The inner sampler's."""
        return self.sampler.order

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        path, motion, taken, inner = state.memory or self._start(denoiser.process, state)
        steps, taken = max(state.steps, 1), taken + 1
        after = (taken / steps) ** 0.5 * path(math.log(taken / steps))
        up = self._up(denoiser.process, state.t, steps)
        if up.time > state.t.time:
            law = denoiser.process.transition(state.x, state.t, up)
            unit = (after - motion) * steps**0.5
            x = law.mean + self.noise * law.variance**0.5 * unit
            state, inner = replace(state, x=x, t=up), ()
        state = self.sampler.step(denoiser, replace(state, memory=inner), s, cond)
        return replace(state, memory=Memory(path, after, taken, state.memory))

    def _up(self, process: GaussianProcess, t: Level, steps: int) -> Level:
        ratio = t.sigma / t.alpha if t.alpha > 0.0 else math.inf
        gamma = min(self.churn / steps, _MOST)
        if gamma == 0.0 or not self.ratio_min <= ratio <= self.ratio_max:
            return t
        return process.schedule.at_ratio((1.0 + gamma) * ratio)

    def _start(self, process: GaussianProcess, state: State) -> Memory:
        event = tuple(state.x.shape[1:])
        path = Path(process, state.rng.branch("churn"), event, state.x.dtype)
        return Memory(path, torch.zeros_like(state.x))
