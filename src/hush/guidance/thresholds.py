"""Keeping beliefs where the data can be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance.base import Guidance
from hush.processes import Moment
from hush.tensors import Condition, expand


class Held(Denoiser):
    """The belief with its mean passed through `hold`. The noise that samplers infer from the mean
    follows, ε = (x_t - α x̂_0)/σ, so a walk stays consistent."""

    def __init__(self, denoiser: Denoiser, hold: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.denoiser, self.process, self.hold = denoiser, denoiser.process, hold

    def forward(self, x_t: Tensor, t: Moment, cond: Condition | None = None) -> Gaussian:
        belief = self.denoiser(x_t, t, cond)
        return replace(belief, mean=self.hold(belief.mean))


@dataclass(frozen=True)
class Clip(Guidance):
    """x̂_0 held to a fixed range, as DDPM's code does (`clip_denoised`): static thresholding."""

    low: float = -1.0
    high: float = 1.0

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return Held(denoiser, lambda mean: mean.clamp(self.low, self.high))


@dataclass(frozen=True)
class DynamicThreshold(Guidance):
    """x̂_0 clipped to ±s and divided by s/limit, where s is the `share` quantile of |x̂_0| of each
    sample, at least `limit`: strong guidance pushes values out of range, and this pulls all of them
    back together, not only those beyond the edge.
    """

    share: float = 0.995
    limit: float = 1.0

    cite: ClassVar[str] = (
        "Saharia et al. 2022, Photorealistic text-to-image diffusion models with deep language "
        "understanding"
    )

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return Held(denoiser, self._pulled)

    def _pulled(self, mean: Tensor) -> Tensor:
        edge = mean.flatten(1).abs().quantile(self.share, dim=1).clamp(min=self.limit)
        edge = expand(edge, mean)
        return mean.clamp(-edge, edge) * (self.limit / edge)
