"""The variational bound of a schedule that is learned: three things to train, two aims."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.likelihoods.bound import decoded
from hush.likelihoods.decoders import Decoder, Nearest
from hush.objectives.base import Loss, Objective
from hush.objectives.times import Stratified, TimeLaw
from hush.processes import GaussianProcess, Process
from hush.rng import Streams
from hush.schedules import Level
from hush.schedules.learned import Learned
from hush.tensors import Condition, per_sample

State = Float[Tensor, " batch *event"]


@dataclass(frozen=True)
class LearnedBound(Objective):
    """-log p(x_0) ≤ ½ E_t γ'(t) ‖ε - ε̂‖² + KL(q(x_1 | x_0) ‖ p(x_1)) + E[-log p(x_0 | x_start)], in
    nats per element, for a process with a `Learned` schedule.

    The network and the ends γ_0, γ_1 are trained to make it small. Between its ends γ does not
    change what the bound is, only how much an estimate of it varies: the way n from γ_0 to γ_1 is
    trained on E[L²], L being the diffusion term of one sample. One backward pass does both, since
    ∇E[L²] = E[2 L ∇L]: what comes back to n is multiplied by 2 L.

    `times` must be uniform from the schedule's `start` to 1, in whatever order; `decoder` is
    p(x_0 | x_start). Masks are refused: every element counts.
    """

    times: TimeLaw = field(default_factory=Stratified)
    decoder: Decoder = field(default_factory=Nearest)

    cite: ClassVar[str] = (
        "Kingma, Salimans, Poole, Ho 2021, Variational diffusion models, section 5 and appendix I"
    )

    def at(
        self,
        denoiser: Denoiser,
        x_0: State,
        t: Tensor,
        rng: Streams,
        cond: Condition | None = None,
        mask: Tensor | None = None,
    ) -> Loss:
        _check(denoiser.process, mask)
        diffusion = self._diffusion(denoiser, x_0, t, rng, cond)
        prior = self._prior(denoiser.process, x_0)
        data = self._reconstruction(denoiser, x_0, rng.branch("reconstruction"), cond)
        return diffusion + (prior + data) / x_0[0].numel()

    def _diffusion(
        self, denoiser: Denoiser, x_0: State, t: Tensor, rng: Streams, cond: Condition | None
    ) -> Loss:
        """½ γ' ‖ε - ε̂‖² per element, ε - ε̂ being (x̂_0 - x_0) α/σ."""
        first, last = denoiser.process.schedule.ends
        place, speed = denoiser.process.schedule.interior(t)
        gamma = first + (last - first) * place
        level = Level(t, (-gamma).sigmoid().sqrt(), gamma.sigmoid().sqrt())
        x_t = denoiser.process.marginal(x_0, level).sample(rng)
        error = per_sample(denoiser(x_t, level, cond).error(x_0))
        loss = (0.5 * (last - first) * speed * (-gamma).exp()).to(error) * error
        twice = 2.0 * loss.detach()
        for part in (place, speed):
            if part.requires_grad:
                part.register_hook(lambda gradient: twice * gradient)
        return loss

    def _prior(self, process: GaussianProcess, x_0: State) -> Loss:
        """KL(q(x_1 | x_0) ‖ p(x_1)), of the whole event."""
        law = process.marginal(x_0, _level(process.schedule, 1.0))
        return law.kl(process.prior(tuple(x_0.shape), x_0))

    def _reconstruction(
        self, denoiser: Denoiser, x_0: State, rng: Streams, cond: Condition | None
    ) -> Loss:
        """-log p(x_0 | x_start), of the whole event."""
        process = denoiser.process
        level = _level(process.schedule, process.schedule.start)
        x_t = process.marginal(x_0, level).sample(rng)
        return -self.decoder(decoded(denoiser, x_t, level, cond, self.decoder), x_0)


def _level(schedule: Learned, time: float) -> Level:
    """The level at a time that all samples share, with the gradient of the schedule's ends."""
    return schedule.level(torch.tensor([time], dtype=torch.float64, device=schedule.moved.device))


def _check(process: Process, mask: Tensor | None) -> None:
    if not isinstance(process.schedule, Learned):
        raise UserError(
            f"LearnedBound trains a schedule, got {process.schedule}: use schedules.Learned, or "
            "the objective Denoising(VLB()) with a schedule that is fixed."
        )
    if mask is not None:
        raise UserError("The bound counts whole samples: train it without a mask.")
