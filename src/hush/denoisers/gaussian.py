"""A network as a Gaussian belief over x_0."""

from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.denoisers.base import Denoiser
from hush.denoisers.parameterisations import Noise, Parameterisation
from hush.denoisers.variances import Variance, Zero
from hush.distributions import Gaussian
from hush.processes import GaussianProcess, Moment
from hush.tensors import Condition, Number, expand


class GaussianDenoiser(Denoiser):
    """p(x_0 | x_t) = N(skip·x_t + out·network(c_in·x_t, clock, cond), variance).

    `network(x, clock, cond)` maps (batch, *event), (batch,) and a condition to (batch, *event), or
    to twice as many channels where the variance has a head; the parameterisation says what its
    output means. A variance that learns is part of the denoiser, and so is a schedule that does.
    """

    def __init__(
        self,
        process: GaussianProcess,
        network: nn.Module,
        parameterisation: Parameterisation | None = None,
        variance: Variance | None = None,
    ) -> None:
        super().__init__()
        self.process = process
        self.schedule = process.schedule  # registers the parameters of one that learns
        self.network = network
        self.parameterisation = parameterisation or Noise()
        self.variance = variance or Zero()

    def forward(
        self, x_t: Float[Tensor, " batch *event"], t: Moment, cond: Condition | None = None
    ) -> Gaussian:
        schedule = self.process.schedule
        level = schedule.level(t)
        skip, out, c_in, clock = self.parameterisation(schedule, level)
        given = x_t if isinstance(c_in, float) and c_in == 1.0 else expand(c_in, x_t) * x_t
        answer = self.network(given, ticks(clock, x_t), cond).to(x_t.dtype)
        answer, head = answer.chunk(2, 1) if self.variance.heads else (answer, None)
        belief = Gaussian.of(((skip, x_t), (out, answer)), 0.0, self.process.noise)
        if isinstance(self.variance, Zero):
            return belief
        return replace(belief, variance=self.variance(schedule, level, x_t, belief.mean, head))


def ticks(clock: Number, x_t: Tensor) -> Float[Tensor, " batch"]:
    """The clock of every sample, in the type that networks compute in; one that all share is made
    once and serves every walk."""
    dtype = x_t.dtype if x_t.is_floating_point() else torch.float32
    if isinstance(clock, Tensor):
        return clock.to(x_t.device, dtype).expand(len(x_t))
    return _shared(clock, len(x_t), dtype, x_t.device)


@lru_cache(maxsize=4096)
def _shared(clock: float, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it may serve a training step next
        return torch.full((count,), clock, dtype=dtype, device=device)
