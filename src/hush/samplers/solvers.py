"""Single-step solvers of the probability-flow ODE."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.samplers.base import Sampler, State
from hush.samplers.bases import Basis, Velocity
from hush.schedules import Level


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

    def step(self, denoiser: Denoiser, state: State, s: Level, cond: Tensor | None = None) -> State:
        x, t, basis = state.x, state.t, self.basis
        width = basis.variable(s) - basis.variable(t)
        slope = basis.slope(denoiser(x, t, cond).mean, x, t)
        euler = basis.advance(x, t, s, width * slope)
        if s.sigma == 0.0:
            return state.moved(euler, s)
        end = basis.slope(denoiser(euler, s, cond).mean, euler, s)
        return state.moved(basis.advance(x, t, s, 0.5 * width * (slope + end)), s)
