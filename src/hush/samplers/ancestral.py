"""DDPM's and DDIM's walk: draw from the process's own reverse law."""

from dataclasses import dataclass
from typing import ClassVar

from hush.denoisers import Denoiser
from hush.samplers.base import Sampler, State
from hush.schedules import Level
from hush.tensors import Condition


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ E[q(x_s | x_t, x_0)] over the belief, with `eta` of the chain's own fresh noise:
    1 is DDPM, 0 is DDIM and deterministic.

    A belief's own variance is drawn with it, at the last step too, so that a right one ends at the
    law of the data. `settle` takes the mean there instead: no noise is left to see.
    """

    eta: float = 1.0
    settle: bool = False

    tokens: ClassVar[bool] = True

    cite: ClassVar[str] = (
        "Ho, Jain, Abbeel 2020, Denoising diffusion probabilistic models; "
        "Song, Meng, Ermon 2021, Denoising diffusion implicit models"
    )

    def step(
        self, denoiser: Denoiser, state: State, s: Level, cond: Condition | None = None
    ) -> State:
        posterior = denoiser(state.x, state.t, cond)
        law = denoiser.process.reverse(posterior, state.x, s, state.t, self.eta)
        if self.settle and s.sigma == 0.0:
            law = law.clean()
        return state.moved(law.sample(state.rng), s)
