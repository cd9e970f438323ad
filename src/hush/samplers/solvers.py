"""Single-step solvers of the probability-flow ODE."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.samplers.base import Sampler, State
from hush.samplers.bases import Basis, Velocity
from hush.samplers.interpolation import Along, level_between
from hush.samplers.paths import Drift
from hush.schedules import Level
from hush.tensors import Condition, Terms, times, weighted


@dataclass(frozen=True)
class Heun(Sampler):
    """Heun's second-order rule: an Euler step, then the slope averaged over both its ends.

    Two evaluations a step, one at the last step into σ = 0, which stays Euler's (it lands on the
    belief's mean). With the basis `Noise` it is EDM's deterministic sampler.
    """

    basis: Basis = field(default_factory=Velocity)

    order: ClassVar[int] = 2
    cite: ClassVar[str] = (
        "Karras, Aittala, Aila, Laine 2022, Elucidating the design space of diffusion-based "
        "generative models, algorithm 1"
    )

    def __post_init__(self) -> None:
        if self.basis.tau:
            raise UserError(f"Heun adds no noise, and {self.basis} wants it: use RungeKutta(2).")

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, basis = state.x, state.t, self.basis
        slope = basis.slope(denoiser(x, t, cond), x, t)
        euler = basis.advance(x, t, s, slope)
        if s.sigma == 0.0:
            return state.moved(euler, s)
        end = basis.slope(denoiser(euler, s, cond), euler, s)
        return state.moved(basis.advance(x, t, s, times(0.5, (*slope, *end))), s)


TABLEAUS = {  # order: for each further stage and for the end, what the slopes before it count for
    1: ((1.0,),),
    2: ((1 / 2,), (0.0, 1.0)),
    3: ((1 / 3,), (0.0, 2 / 3), (1 / 4, 0.0, 3 / 4)),
    4: ((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}


@dataclass(frozen=True)
class RungeKutta(Sampler):
    """Runge-Kutta's rules in the coordinates of a basis, `order` evaluations a step: Euler, the
    midpoint, Heun's third-order rule, the classical one.

    The classical rule asks at the end of the step, where into σ = 0 there is nothing to ask: that
    one step is of third order, which keeps the whole of fourth. Where the variable has no end, in
    the basis `Data`, it is Euler's. `along` is what the evaluations between are even in: the basis'
    variable, or else the log-SNR or the time, which costs orders above 2. With `Data(tau)` above 0
    the noise of its SDE is added.

        DPM-Solver++ (SDE)   RungeKutta(2, Data(tau=1), along="log_snr")
        PNDM's first steps   RungeKutta(4, Noise(), along="time")
    """

    order: int = 4
    basis: Basis = field(default_factory=Velocity)
    along: Along = "variable"

    cite: ClassVar[str] = (
        "Hairer, Nørsett, Wanner 1993, Solving ordinary differential equations I, section II.1"
    )

    def __post_init__(self) -> None:
        if self.order not in TABLEAUS:
            raise UserError(f"RungeKutta has orders 1 to 4, got {self.order}.")

    @property
    def claims(self) -> int:
        """With evaluations even in anything but the variable, 2 at most."""
        return self.order if self.along == "variable" else min(self.order, 2)

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        x, t, basis = state.x, state.t, self.basis
        drift = state.memory or None
        if basis.tau and drift is None:
            drift = Drift.of(state, denoiser.process, basis.tau)
        slope = basis.slope(denoiser(x, t, cond), x, t)
        x = self.advance(denoiser, x, t, s, slope, cond, drift)
        return state.moved(x, s, drift.to(s)[1] if drift else ())

    def advance(
        self,
        denoiser: Denoiser,
        x: Tensor,
        t: Level,
        s: Level,
        slope: Terms,
        cond: Condition | None = None,
        drift: Drift | None = None,
    ) -> Tensor:
        """The state at s, from x at t and the slope there."""

        def reached(level: Level, shares: Sequence[float]) -> Tensor:
            kick = drift.to(level)[0] if drift else 0.0
            return self.basis.advance(x, t, level, weighted(shares, slopes), kick)

        slopes, schedule = [slope], denoiser.process.schedule
        *stages, last = TABLEAUS[self._order(s)]
        for stage in stages:
            part = sum(stage)
            level = level_between(self.basis, self.along, schedule, t, s, part)
            x_stage = reached(level, [share / part for share in stage])
            slopes.append(self.basis.slope(denoiser(x_stage, level, cond), x_stage, level))
        return reached(s, last)

    def _order(self, s: Level) -> int:
        """The order of a step to s."""
        if s.sigma > 0.0:
            return self.order
        return min(self.order, 3) if math.isfinite(self.basis.variable(s)) else 1
