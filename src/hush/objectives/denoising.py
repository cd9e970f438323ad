"""Denoising: noise the data, ask for the belief, weigh its error."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from hush.denoisers import Denoiser
from hush.objectives.times import TimeLaw, Uniform
from hush.objectives.weights import Simple, Weight
from hush.processes import Moment
from hush.rng import Streams
from hush.tensors import drop, per_sample

Loss = Float[Tensor, " batch"]


@dataclass(frozen=True)
class Denoising:
    """E_t E_ε w(t) ‖x_0 - x̂_0(α_t x_0 + σ_t ε, t)‖², averaged over the elements of each sample.

    `weight` says what counts (`Simple` is DDPM's loss), `times` which t are drawn; a share
    `cond_dropout` of the conditions is hidden, as classifier-free guidance needs.
    """

    weight: Weight = field(default_factory=Simple)
    times: TimeLaw = field(default_factory=Uniform)
    cond_dropout: float = 0.1

    def __call__(
        self,
        denoiser: Denoiser,
        x_0: Tensor,
        rng: Streams,
        cond: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        """The loss of each sample at a time and with noise from its own stream (three draws).
        `mask` is true where the error counts."""
        t = self.times(denoiser.process.schedule, rng)
        if cond is not None and self.cond_dropout > 0.0:
            cond = drop(cond, rng.next(2).uniform() < self.cond_dropout)
        return self.at(denoiser, x_0, t, rng.next(), cond, mask)

    def at(
        self,
        denoiser: Denoiser,
        x_0: Tensor,
        t: Moment,
        rng: Streams,
        cond: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        """The loss of each sample at the times t (batch,)."""
        schedule = denoiser.process.schedule
        level = schedule.level(t)
        x_t = denoiser.process.marginal(x_0, level).sample(rng)
        error = denoiser(x_t, level, cond).error(x_0)
        if mask is not None:
            error = error * mask * (mask.numel() / mask.sum().clamp(min=1))
        weight = torch.as_tensor(self.weight(schedule, level)).to(error)
        return weight * per_sample(error)
