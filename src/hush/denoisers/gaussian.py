"""A network as a Gaussian belief over x_0."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hush.denoisers.base import Denoiser
from hush.denoisers.parameterisations import Noise, Parameterisation
from hush.distributions import Gaussian
from hush.processes import GaussianProcess, Moment
from hush.tensors import expand


class GaussianDenoiser(Denoiser):
    """p(x_0 | x_t) = N(skip·x_t + out·network(c_in·x_t, clock, cond), 0): a belief in its mean.

    `network(x, clock, cond)` maps (batch, *event), (batch,) and a condition to (batch, *event); the
    parameterisation says what its output means.
    """

    def __init__(
        self,
        process: GaussianProcess,
        network: nn.Module,
        parameterisation: Parameterisation | None = None,
    ) -> None:
        super().__init__()
        self.process = process
        self.network = network
        self.parameterisation = parameterisation or Noise()

    def forward(
        self, x_t: Float[Tensor, " batch *event"], t: Moment, cond: Tensor | None = None
    ) -> Gaussian:
        schedule = self.process.schedule
        skip, out, c_in, clock = self.parameterisation(schedule, schedule.level(t))
        if not isinstance(clock, Tensor) or clock.ndim == 0:
            clock = torch.full((len(x_t),), float(clock), device=x_t.device)
        answer = self.network(expand(c_in, x_t) * x_t, clock.to(x_t), cond).to(x_t.dtype)
        return Gaussian(expand(skip, x_t) * x_t + expand(out, x_t) * answer)
