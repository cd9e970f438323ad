"""Anomalies: what a model of sound pictures would have made otherwise.

picture ── codec ── x_0 ── noise to t = depth ── x_t ── walk to 0 ── x̂ ── (picture - x̂)² ── map
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from hush.errors import UserError
from hush.evaluation.held_out import device_of
from hush.rng import derive
from hush.samplers import Ancestral, Sampler
from hush.system import System
from hush.tasks.purify import DiffPure

Pictures = Float[Tensor, "count channel height width"]
Map = Float[Tensor, "count 1 height width"]


@dataclass(frozen=True)
class Anomalies:
    """What was found in pictures, each in units of the pictures' own.

    reconstruction  what the model would have made in their place, the mean of its answers
    map             (x - x̂)² at each pixel, the mean over channels and answers
    """

    reconstruction: Pictures
    map: Map

    def score(self, share: float = 0.01) -> Float[Tensor, " count"]:
        """A number for each picture: the mean of the map over the given share of its pixels, those
        where it is highest (one at least); of share 1 the mean over all.

        Raises:
            UserError: a share that is not above 0 and at most 1.
        """
        if not 0.0 < share <= 1.0:
            raise UserError(f"share of the pixels must be above 0 and at most 1, got {share}.")
        pixels = self.map.flatten(1)
        return pixels.topk(max(1, round(share * pixels.shape[1]))).values.mean(1)


@dataclass(frozen=True)
class Detect:
    """x_t ~ q(x_t | x_0) at t = `depth`, with the process's own noise, and `steps` steps of a
    sampler back to x̂: a use of any trained run of pictures, which is asked without a condition.

    The noise hides what is small beside it, and the model puts there what is common in its data.
    Where its belief is exact, x̂ is another draw of the posterior: so of a picture that it knows
    E (x - x̂)² = 2 Var[x_0 | x_t], and an anomaly adds what of it the posterior mean lacks. More
    `repeats`, each with noise of its own, bring the map nearer to that mean.

    AnoDDPM walks every step down from 250 of 1000. Wyatt et al. 2022, "AnoDDPM: anomaly detection
    with denoising diffusion probabilistic models using simplex noise".

    Raises:
        UserError: a depth that is not above 0 and at most 1, fewer than 1 step or repeat.
    """

    depth: float = 0.25
    steps: int = 250
    repeats: int = 1
    sampler: Sampler = field(default_factory=Ancestral)

    def __post_init__(self) -> None:
        if not 0.0 < self.depth <= 1.0:
            raise UserError(
                f"depth is the time to noise to, above 0 and at most 1, got {self.depth}: the "
                "deeper, the larger the anomalies it finds, and the less of the picture is kept."
            )
        for name in ("steps", "repeats"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")

    def __call__(
        self, system: System, pictures: Pictures, seed: int = 0, start: int = 0, batch: int = 64
    ) -> Anomalies:
        """What is odd about pictures (count, channel, height, width) in [0, 1].

        They are the samples `start`, start + 1, … of the seed: what is found in each is the same in
        whatever `batch` (to rounding). Raises `UserError` for what are not pictures of the model's
        shape in [0, 1], and for a model that wants something given before it draws.
        """
        again = DiffPure(self.depth, self.steps, self.sampler)
        pictures = pictures.to(device_of(system))
        answer, square = torch.zeros_like(pictures), torch.zeros_like(pictures)
        for repeat in range(self.repeats):
            one = again(system, pictures, derive(seed, f"repeat {repeat}"), start, batch)
            answer += one / self.repeats
            square += (pictures - one) ** 2 / self.repeats
        return Anomalies(answer, square.mean(1, keepdim=True))
