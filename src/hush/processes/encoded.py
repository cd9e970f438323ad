"""A chain of one step, and that learnt: data to the latents of an autoencoder."""

from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from hush.distributions import Gaussian
from hush.networks.autoencoder import Autoencoder
from hush.processes.base import Moment
from hush.processes.one_step import OneStep
from hush.schedules import Rectified, Schedule

Latent = Float[Tensor, "batch latent *place"]


@dataclass(frozen=True)
class Encoded(OneStep):
    """q(x_1 | x_0) = q(z | x) of an autoencoder, the prior N(0, I): there is nothing between the
    data and their latents, and one step back is all, p(x_0 | x_1) being the belief itself.

    What DDPM fixes and keeps at the size of the data, this learns and makes smaller; the bound on
    -log p(x_0) is the same with one term. Kingma and Welling 2014, "Auto-encoding variational
    Bayes". The times between 0 and 1 mean nothing.
    """

    autoencoder: Autoencoder
    schedule: Schedule = field(default_factory=Rectified)

    only: ClassVar[str] = "An autoencoder goes from data to latents in one step"

    def prior(self, shape: tuple[int, ...], like: Tensor) -> Gaussian:
        """N(0, I) of as many latents as `shape` has events."""
        return Gaussian(like.new_zeros(shape[0], *self.autoencoder.latent), 1.0)

    def marginal(self, x_0: Tensor, t: Moment = 1.0) -> Gaussian:
        """q(z | x), with a variance for each element."""
        mean, log_variance = self.autoencoder.encode(x_0)
        return Gaussian(mean, log_variance.exp())
