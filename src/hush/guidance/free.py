"""Guidance without a classifier."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.distributions import Gaussian
from hush.guidance.base import Guidance
from hush.processes import Moment
from hush.tensors import absent


class Guided(Denoiser):
    """The belief moved from the unconditional one toward, and past, the conditional one.

    Scale 1 is the conditional belief itself, untouched; 0 the unconditional. Both are asked in one
    doubled batch. In terms of the noise: ε(∅) + scale·(ε(c) - ε(∅)).
    """

    def __init__(self, denoiser: Denoiser, scale: float) -> None:
        super().__init__()
        self.denoiser, self.process, self.scale = denoiser, denoiser.process, scale

    def forward(self, x_t: Tensor, t: Moment, cond: Tensor | None = None) -> Gaussian:
        if cond is None or self.scale == 1.0:
            return self.denoiser(x_t, t, cond)
        both = self.denoiser(torch.cat((x_t, x_t)), _twice(t), torch.cat((absent(cond), cond)))
        free, bound = both.halves()
        return free.toward(bound, self.scale)


def _twice(t: Moment) -> Moment:
    """Per-sample times for a doubled batch; shared ones serve as they are."""
    if isinstance(t, Tensor) and t.ndim:
        return torch.cat((t, t))
    return t


@dataclass(frozen=True)
class ClassifierFree(Guidance):
    """Classifier-free guidance, denoiser to denoiser."""

    scale: float = 2.0

    cite: ClassVar[str] = "Ho and Salimans 2022, Classifier-free diffusion guidance"

    def __call__(self, denoiser: Denoiser) -> Denoiser:
        return Guided(denoiser, self.scale)
