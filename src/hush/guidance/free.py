"""Guidance without a classifier."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Distribution, Gaussian
from hush.errors import UserError
from hush.guidance.base import Guidance
from hush.processes import Moment
from hush.schedules import Level
from hush.tensors import Condition, absent, expand, joined

# Numbers in a batch up to which a doubled one is faster: on a processor while they stay in its
# caches (docs/performance.md), elsewhere as long as memory is no question.
NEAR, FAR = 1 << 15, 1 << 24


@dataclass(frozen=True)
class ClassifierFree(Guidance):
    """The belief moved from the unconditional one toward, and past, the conditional one.

    In terms of the mean, and so of the noise: ε(∅) + scale·(ε(c) - ε(∅)). Scale 1 is the
    conditional belief itself, untouched; 0 the unconditional. Both are asked in one doubled batch
    while that is small, else one after the other.

    A large scale blows x̂_0 up. `rescale` (0 to 1) takes it that part of the way back to the
    standard deviation, over each sample, of the conditional x̂_0:
    x̂_0 ← x̂_0·(rescale·std(x̂_0(c))/std(x̂_0) + 1 - rescale). Lin et al. 2024, section 3.4, rescale
    the network's output, there v; here it is x̂_0 whatever the network says, so that guidance does
    not hang on the parameterisation. At their first step, which has no signal, v is -x_0 and the
    two are the same.

    Raises:
        UserError: rescale is not between 0 and 1, or is not 0 where the states are not Gaussian.
    """

    scale: float = 2.0
    rescale: float = 0.0

    neutral: ClassVar[float | None] = 1.0
    cite: ClassVar[str] = (
        "Ho and Salimans 2022, Classifier-free diffusion guidance; "
        "Lin et al. 2024, Common diffusion noise schedules and sample steps are flawed"
    )

    def __post_init__(self) -> None:
        if not 0.0 <= self.rescale <= 1.0:
            raise UserError(
                f"rescale is the part of the way back to the conditional standard deviation, "
                f"between 0 (none) and 1, got {self.rescale}."
            )

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        if self.scale == 1.0:
            return denoiser
        if self.rescale:
            self._only_gaussian(denoiser)
        return Guided(denoiser, self.scale, self.rescale)


class Guided(Denoiser):
    """What `ClassifierFree` makes; without a condition it is the denoiser itself."""

    def __init__(self, denoiser: Denoiser, scale: float, rescale: float) -> None:
        super().__init__()
        self.denoiser, self.process = denoiser, denoiser.process
        self.scale, self.rescale = scale, rescale

    def forward(self, x_t: Any, t: Moment, cond: Condition | None = None) -> Distribution:
        if cond is None:
            return self.denoiser(x_t, t, cond)
        free, bound = self._both(x_t, t, cond)
        guided = free.toward(bound, self.scale)
        return _rescaled(guided, bound, self.rescale) if self.rescale else guided

    def _both(self, x_t: Any, t: Moment, cond: Condition) -> tuple[Distribution, Distribution]:
        """The belief without the condition, and with it."""
        parts = list(x_t.values()) if isinstance(x_t, dict) else [x_t]
        if sum(part.numel() for part in parts) > (NEAR if parts[0].is_cpu else FAR):
            return self.denoiser(x_t, t, absent(cond)), self.denoiser(x_t, t, cond)
        twice = self.denoiser(joined(x_t, x_t), _twice(t), joined(absent(cond), cond))
        return twice.halves()


def _twice(value: Any) -> Any:
    """Times of their own for a doubled batch; one that all share serves as it is."""
    if isinstance(value, Level):
        return Level(*map(_twice, value))
    return torch.cat((value, value)) if isinstance(value, Tensor) and value.ndim else value


def _rescaled(guided: Gaussian, bound: Gaussian, part: float) -> Gaussian:
    size, wanted = (belief.mean.flatten(1).std(1, correction=0) for belief in (guided, bound))
    factor = torch.where(size > 0.0, wanted / size, 1.0)
    factor = part * factor + 1.0 - part
    return replace(guided, mean=expand(factor, guided.mean) * guided.mean)
