"""The bound that trains a variational autoencoder: a chain with one noise level, and that learned.

-log p(x) ≤ KL(q(z | x) ‖ p(z)) - E log p(x | z), z ~ q(z | x) = N(mean, variance), p(z) = N(0, I)

In a diffusion chain q is fixed and has as many elements as the data; `hush.likelihoods.bound` with
one level is this bound for that q.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from hush.distributions import Categorical, Distribution, Gaussian, kl
from hush.errors import UserError
from hush.likelihoods.bound import Bound
from hush.likelihoods.decoders import Decoder, Density
from hush.networks.autoencoder import Autoencoder
from hush.rng import Streams

Nats = Float[Tensor, " batch"]
Data = Shaped[Tensor, " batch *event"]
Latent = Float[Tensor, " batch *latent"]


class Likelihood(ABC):
    """p(x | z): what the answer of `Autoencoder.decode` means."""

    @abstractmethod
    def __call__(self, autoencoder: Autoencoder, z: Latent) -> Distribution:
        """The law of x given z."""


@dataclass(frozen=True)
class Normal(Likelihood):
    """N(x̂, variance I). Without a `variance` it is the autoencoder's own, which learns: of numbers
    at its best the mean squared error. Of levels with open ends (`Binned`) x̂ may go far beyond the
    ends, and is held to them by the codec.

    Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders".
    """

    variance: float | None = None

    def __post_init__(self) -> None:
        if self.variance is not None and not self.variance > 0.0:
            raise UserError(f"The variance of p(x | z) must be above 0, got {self.variance:g}.")

    def __call__(self, autoencoder: Autoencoder, z: Latent) -> Gaussian:
        x = autoencoder.decode(z)
        if self.variance is None:
            return Gaussian(x, autoencoder.log_variance.exp())
        return Gaussian(x, self.variance)


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Each element is 1 with probability sigmoid(x̂), else 0; x are integers."""

    def __call__(self, autoencoder: Autoencoder, z: Latent) -> Categorical:
        logit = autoencoder.decode(z)
        return Categorical(torch.stack((torch.zeros_like(logit), logit), -1))


@dataclass(frozen=True)
class EvidenceLowerBound:
    """kl_weight·KL(q(z | x) ‖ N(0, I)) - log p(x | z) in nats per sample, at one z ~ q(z | x), the
    gradient through z = mean + √variance ε.

    With weight 1 a bound on -log p(x); below, better reconstructions of a z further from its prior,
    for a second model of z to mend. `decoder` says whether x are numbers or levels (`Binned`).
    Kingma and Welling 2014, "Auto-encoding variational Bayes"; the weight as in Higgins et al.
    2017, "beta-VAE".
    """

    likelihood: Likelihood = field(default_factory=Normal)
    decoder: Decoder = field(default_factory=Density)
    kl_weight: float = 1.0

    cite: ClassVar[str] = "Kingma, Welling 2014, Auto-encoding variational Bayes"

    def __call__(self, autoencoder: Autoencoder, x_0: Data, rng: Streams) -> Nats:
        """The loss of each sample with z from its own stream (one draw)."""
        terms = self.bound(autoencoder, x_0, rng)
        return self.kl_weight * terms.prior + terms.data

    def bound(self, autoencoder: Autoencoder, x_0: Data, rng: Streams) -> Bound:
        """The terms: `prior` is the KL, `data` the -log p(x | z); there are no steps between."""
        q = posterior(autoencoder, x_0)
        data = -self.decoder(self.likelihood(autoencoder, q.sample(rng)), x_0)
        divergence = kl(q, _prior(q))
        return Bound(divergence, divergence.new_zeros(0, len(data)), data)

    def log_evidence(
        self, autoencoder: Autoencoder, x_0: Data, rng: Streams, draws: int = 64
    ) -> Nats:
        """log 1/K Σ_k p(x | z_k) p(z_k)/q(z_k | x), z_k ~ q(z | x), K the `draws`, one from each
        following draw of the streams: an estimate of log p(x) whose mean is below it, and rises to
        it with K. Burda, Grosse and Salakhutdinov 2016, "Importance weighted autoencoders".
        """
        if draws < 1:
            raise UserError(f"The evidence is weighed with at least 1 draw, got {draws}.")
        q = posterior(autoencoder, x_0)
        log_weights = []
        for draw in range(draws):
            z = q.sample(rng.next(draw))
            log_joint = self.decoder(self.likelihood(autoencoder, z), x_0) + _prior(q).log_prob(z)
            log_weights.append(log_joint - q.log_prob(z))
        return torch.stack(log_weights).logsumexp(0) - math.log(draws)


def posterior(autoencoder: Autoencoder, x_0: Data) -> Gaussian:
    """q(z | x), the law that `encode` gives."""
    mean, log_variance = autoencoder.encode(x_0)
    return Gaussian(mean, log_variance.exp())


def _prior(q: Gaussian) -> Gaussian:
    return Gaussian(torch.zeros_like(q.mean), 1.0)
