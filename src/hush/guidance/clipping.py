"""Keeping beliefs where the data can be."""

from dataclasses import dataclass, replace

from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.processes import Moment


class Clipped(Denoiser):
    """The belief with its mean held to [low, high]. The noise that samplers infer from it follows,
    ε = (x_t - α x̂_0)/σ, so a walk stays consistent."""

    def __init__(self, denoiser: Denoiser, low: float, high: float) -> None:
        super().__init__()
        self.denoiser, self.process, self.low, self.high = denoiser, denoiser.process, low, high

    def forward(self, x_t: Tensor, t: Moment, cond: Tensor | None = None) -> Gaussian:
        belief = self.denoiser(x_t, t, cond)
        return replace(belief, mean=belief.mean.clamp(self.low, self.high))


@dataclass(frozen=True)
class Clip:
    """Clip x̂_0 to a range, as DDPM's code does (`clip_denoised`), denoiser to denoiser."""

    low: float = -1.0
    high: float = 1.0

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return Clipped(denoiser, self.low, self.high)
