"""What an autoencoder is taught: to give back what it was given, through little."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hush.denoisers import Decoded
from hush.distributions import Gaussian, kl
from hush.errors import UserError
from hush.networks.critic import hinge
from hush.objectives.base import Loss, Objective
from hush.objectives.evidence_lower_bound import Likelihood, Normal
from hush.processes import Moment
from hush.rng import Streams
from hush.tensors import Condition

TINY, MOST = 1e-4, 1e4  # the least slope of a critic, the most that it is made steeper by


@dataclass(frozen=True, kw_only=True)
class Reconstruction(Objective):
    """-log p(x | z) + w KL(q(z | x) ‖ N(0, I)) in nats per element, z ~ q(z | x), and what z costs
    else (`strain`, of a codebook): the bound of `EvidenceLowerBound` with a weight w = `kl_weight`
    so small that latents stay near 0 and lose next to nothing of what they say.

    With a critic D of patches -D(x̂) is added, so weighed that its gradient at x̂ is a =
    `adversarial` times as long as that of -log p(x | z) there, for each sample; and D learns in the
    same step to tell x̂ from x (hinge loss). However hard D pulls, x̂ then rests where its squared
    error is at most 1/(1 - a²) times the least, for a < 1. The grain that a mean lacks costs twice
    the least (Blau and Michaeli 2018, "The perception-distortion tradeoff"): a = √½ has room for
    it. Each term moves its own weights alone, and so is a player of a game as if each had an
    optimiser to itself. A denoiser that is not in training is judged without it.

    Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models", appendix G;
    Esser, Rombach and Ommer 2021, "Taming transformers for high-resolution image synthesis",
    equation 7, whose ratio is of gradients at the last layer, of a whole batch: one for each sample
    teaches the same in whatever parts a batch is computed.

    Raises:
        UserError: a condition's mask; an adversarial weight without a critic.
    """

    likelihood: Likelihood = field(default_factory=Normal)
    kl_weight: float = 1e-6
    adversarial: float = 0.0
    cond_dropout: float = 0.0

    def at(
        self,
        denoiser: Decoded,
        x_0: Tensor,
        t: Moment,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        if mask is not None:
            raise UserError("An autoencoder learns whole data: it cannot leave out what is masked.")
        q = denoiser.process.marginal(x_0)
        z = q.sample(rng)
        law = self.likelihood(denoiser.network, z)
        data = -law.log_prob(x_0) / math.prod(x_0.shape[1:])
        loss = data + denoiser.network.strain(z)
        if self.kl_weight:
            prior = Gaussian(torch.zeros_like(q.mean), 1.0)
            loss = loss + self.kl_weight * kl(q, prior) / math.prod(x_0.shape[1:])
        if self.adversarial and denoiser.training:
            loss = loss + self._game(denoiser, x_0, law.mean, data)
        return loss

    def _game(self, denoiser: Decoded, x_0: Tensor, made: Tensor, data: Loss) -> Loss:
        """What the maker of x̂ loses by being found out, and what the critic by being wrong."""
        if denoiser.critic is None:
            raise UserError(f"adversarial={self.adversarial:g} wants a denoiser with a critic.")
        found_out = -denoiser.critic.held(made).flatten(1).mean(1)
        wrong = hinge(denoiser.critic(x_0), denoiser.critic(made.detach()))
        ratio = _slope(data, made) / _slope(found_out, made).clamp(min=TINY)
        return self.adversarial * ratio.clamp(max=MOST) * found_out + wrong


def _slope(loss: Loss, made: Tensor) -> Loss:
    """‖∂loss/∂x̂‖ of each sample, to an element's share: half precision has no smaller numbers."""
    total = loss.float().sum() * math.prod(made.shape[1:])
    return torch.autograd.grad(total, made, retain_graph=True)[0].flatten(1).norm(dim=1)
