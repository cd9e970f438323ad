"""Denoising: the error of the belief, weighed by its noise level."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hush.distributions import Distribution
from hush.objectives.base import Loss, Objective
from hush.objectives.weights import Simple, Weight
from hush.processes import Process
from hush.schedules import Level
from hush.tensors import per_sample


@dataclass(frozen=True)
class Denoising(Objective):
    """E_t E_ε w(t) ‖x_0 - x̂_0(α_t x_0 + σ_t ε, t)‖², averaged over the elements of each sample
    (those where its mask is true); of tokens the error is the cross-entropy -log p(x_0 | x_t).

    `weight` says what counts (`Simple` is DDPM's loss), `times` which t are drawn. With `absolute`
    numbers cost √w(t) |x_0 - x̂_0|: for `Simple` |ε - ε̂|, whose best answer is a median.
    """

    weight: Weight = field(default_factory=Simple)
    absolute: bool = False

    def judge(
        self,
        process: Process,
        belief: Distribution,
        x_0: Any,
        x_t: Any,
        level: Level,
        mask: Tensor | None = None,
    ) -> Loss:
        error, share = belief.error(x_0), 1.0
        error = error.clamp(min=1e-30).sqrt() if self.absolute else error
        if mask is not None:
            counted = mask.to(error).expand_as(error)
            error, share = error * counted, per_sample(counted).clamp(min=1e-12)
        weight = torch.as_tensor(self.weight(process.schedule, level)).to(error)
        if self.absolute:
            weight = weight.sqrt()
        return weight * per_sample(error) / share
