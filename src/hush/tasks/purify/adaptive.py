"""ADP: up the score of the data, in steps as long as the density allows."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hush.denoisers import Denoiser
from hush.errors import UserError
from hush.processes import GaussianProcess
from hush.rng import Streams
from hush.schedules import Level
from hush.system import System
from hush.tasks.purify.base import Purifier, State, asked
from hush.tensors import expand, total


@dataclass(frozen=True)
class Adaptive(Purifier):
    """ADP: x_0 + `noise` ε, then at most `steps` times x ← x + a s with the score s at a small
    noise level and a step of its own for each sample,

    a = λδ/(1 - ⟨s, s'⟩/⟨s, s⟩), s' = s(x + δ s),

    held to [`smallest`, `largest`]; a sample whose a falls below `stop` is done. Where the
    log-density bends by h along s, a = λ/h. A step asks the model twice.

    s(x) = (x̂_0(x) - x)/r², the score of data blurred by r = `ratio`, from the model's belief at the
    level where σ/α = r. All lengths are in units of x_0: for pictures coded to [-1, 1] the defaults
    are the paper's, which are for [0, 1]. Equal `smallest` and `largest` are a fixed step, which
    asks once.

    Raises:
        UserError: a negative noise, numbers that must be positive and are not, a model of tokens.
    """

    noise: float = 0.5
    steps: int = 10
    ratio: float = 0.25
    share: float = 0.05
    delta: float = 4e-3
    smallest: float = 4e-5
    largest: float = 0.4
    stop: float = 0.0

    cite: ClassVar[str] = (
        "Yoon, Hwang, Lee 2021, Adversarial purification with score-based generative models, "
        "arXiv:2106.06041"
    )

    def __post_init__(self) -> None:
        for name in ("ratio", "share", "delta", "smallest", "largest"):
            if not getattr(self, name) > 0.0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}.")
        if self.steps < 1 or self.noise < 0.0 or self.smallest > self.largest:
            raise UserError(
                f"Adaptive takes at least 1 step, noise of at least 0 and smallest ≤ largest, got "
                f"{self.steps}, {self.noise} and {self.smallest}, {self.largest}."
            )

    def clean(self, system: System, x_0: State, rng: Streams) -> State:
        denoiser = asked(system)
        process = denoiser.process
        if not isinstance(process, GaussianProcess):
            raise UserError(
                "Adaptive climbs the score of numbers, and this model is of tokens: use DiffPure()."
            )
        level = process.schedule.at_ratio(self.ratio)
        x = total(((1.0, x_0), (self.noise, process.noise(rng, tuple(x_0.shape[1:]), x_0.dtype))))
        moving = torch.ones(len(x), dtype=torch.bool, device=x.device)
        for _ in range(self.steps):
            score = blurred_score(denoiser, x, level)
            width = self._width(denoiser, x, score, level)
            moving = moving & (width >= self.stop)
            if not moving.any():
                break
            x = x + expand(torch.where(moving, width, 0.0), x) * score
        return x

    def _width(self, denoiser: Denoiser, x: State, score: State, level: Level) -> Tensor:
        """The step of each sample, (batch,): the largest where the density does not bend down."""
        if self.smallest == self.largest:
            return torch.full_like(x.flatten(1)[:, 0], self.largest)
        ahead = blurred_score(denoiser, x + self.delta * score, level)
        kept = _dot(score, ahead) / _dot(score, score)
        bend = (1.0 - kept) / self.delta
        width = torch.where(bend > 0.0, self.share / bend, self.largest)
        return width.clamp(self.smallest, self.largest)


def blurred_score(denoiser: Denoiser, x: State, level: Level) -> State:
    """∇ log p(x), p being the law of x_0 + σ/α ε: (E[x_0 | x_t = α x] - x)/(σ/α)²."""
    belief = denoiser(level.alpha * x, level)
    return (belief.mean - x) * (level.alpha / level.sigma) ** 2


def _dot(a: State, b: State) -> Tensor:
    return (a * b).flatten(1).sum(1)
