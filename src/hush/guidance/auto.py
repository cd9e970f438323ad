"""Guidance by a worse model of the same thing."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from hush.denoisers import Denoiser
from hush.distributions import Distribution
from hush.errors import UserError
from hush.guidance.base import Guidance
from hush.processes import Moment
from hush.tensors import Condition

_PROBES = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)


@dataclass(frozen=True)
class Autoguidance(Guidance):
    """The belief moved from that of a `weak` model toward, and past, the model's own, under the
    same condition: x̂_0 = x̂_weak + scale·(x̂_0 - x̂_weak).

    The weak one is a smaller or less trained model of the same data, noised alike, so that it errs
    where the model errs, and more. Scale 1, or no weak model, is no guidance. Any belief can be
    moved so, of tokens too.

    Raises:
        UserError: the two models are of different processes.
    """

    weak: Denoiser | None = None
    scale: float = 2.0

    neutral: ClassVar[float | None] = 1.0
    cite: ClassVar[str] = (
        "Karras et al. 2024, Guiding a diffusion model with a bad version of itself"
    )

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        if self.weak is None or self.scale == 1.0:
            return denoiser
        strong, weak = denoiser.process, self.weak.process
        alike = strong.schedule.levels(_PROBES) == weak.schedule.levels(_PROBES)
        if type(strong) is not type(weak) or not alike:
            raise UserError(
                f"The weak model's process is {weak}, the model's is {strong}: what one sees at a "
                "time means another noise to the other. Give a weak model of the same process."
            )
        return Autoguided(denoiser, self.weak, self.scale)


class Autoguided(Denoiser):
    """What `Autoguidance` makes: both models are asked at every step."""

    def __init__(self, denoiser: Denoiser, weak: Denoiser, scale: float) -> None:
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process
        self.weak, self.scale = weak, scale

    def forward(self, x_t: Any, t: Moment, cond: Condition | None = None) -> Distribution:
        return self.weak(x_t, t, cond).toward(self.denoiser(x_t, t, cond), self.scale)
