"""How good answers are that are pictures: a row for each who answered."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from hush.errors import UserError
from hush.evaluation import (
    consistency,
    diversity,
    frechet,
    patch_space,
    psnr,
    ratio_interval,
    ssim,
)
from hush.evaluation.baselines import Space
from hush.rng import derive
from hush.tasks.judged.answered import Answered, Asked, Pictures

COLUMNS = (
    "task",
    "who",
    "floors (95 %)",
    "PSNR, dB",
    "SSIM",
    "consistency",
    "differ",
)
FEWEST = 4  # pictures of a kind: fewer have no covariance to speak of
WINDOW = 11  # pixels that SSIM needs along each side

Each = Float64[Tensor, " picture"]


@dataclass(frozen=True)
class Row:
    """Who answered, and how well.

    distance     Fréchet distance of the answers to the truth in features, in floors
    interval     95 % of it, by bootstrap
    psnr, ssim   of each first answer; SSIM of pictures large enough
    consistency  where a low resolution was given: how far the answer's own is from it
    apart        how far two answers to one question lie apart, of those who draw
    """

    task: str
    who: str
    distance: float
    interval: tuple[float, float]
    psnr: Each
    ssim: Each | None = None
    consistency: Each | None = None
    apart: Each | None = None

    def cells(self) -> tuple[str, ...]:
        """A line under `COLUMNS`: means, PSNR and SSIM with their standard errors; consistency in
        units of 1e-5, the mean square that SR3 is told in."""
        low, high = self.interval
        return (
            self.task,
            self.who,
            f"{self.distance:.2f} ({low:.2f}-{high:.2f})",
            _mean(self.psnr, 2),
            _mean(self.ssim, 3),
            "" if self.consistency is None else f"{1e5 * self.consistency.mean():.1f}",
            "" if self.apart is None else f"{self.apart.mean():.3f}",
        )


@dataclass(frozen=True)
class Yard:
    """What answers are held against: features that suit the pictures, those of `test` pictures, and
    those of as many pictures of `train`, whose distance to them, the floor, is what a perfect model
    of the data would show that is told nothing."""

    space: Space
    train: Float[Tensor, "_ feature"]
    test: Float[Tensor, "_ feature"]

    @classmethod
    def of(
        cls, train: Pictures, test: Pictures, seed: int = 0, space: Space | None = None
    ) -> "Yard":
        """In the space of patches like `train` (`patch_space`), or another. Raises `UserError` for
        fewer than 4 pictures of either."""
        if min(len(train), len(test)) < FEWEST:
            raise UserError(
                f"Answers to {len(test)} pictures cannot be judged beside {len(train)} others: "
                f"give {FEWEST} or more of each. --held-out says when training how many a run "
                "leaves aside."
            )
        space = space or patch_space(train, seed)
        generator = torch.Generator().manual_seed(derive(seed, "floor"))
        some = torch.randperm(len(train), generator=generator)[: len(test)]
        return cls(space, space(train[some.to(train.device)]).cpu(), space(test).cpu())

    def rows(self, of: Answered) -> list[Row]:
        """A row for each who answered."""
        return [self.row(of.name, who, of.asked, answers) for who, answers in of.answers.items()]

    def row(self, task: str, who: str, asked: Asked, answers: tuple[Pictures, ...]) -> Row:
        """How good the answers of one are, the first of each judged."""
        first, truth = answers[0], asked.truth
        features, floor = self.space(first).cpu(), frechet(self.train, self.test)
        large, low = min(truth.shape[-2:]) >= WINDOW, asked.low
        return Row(
            task,
            who,
            frechet(features, self.test) / floor if floor > 0.0 else math.inf,
            ratio_interval(features, self.train, self.test),
            psnr(first, truth),
            ssim(first, truth) if large else None,
            None if low is None else consistency(first, low, asked.task.factor),
            diversity(torch.stack(answers, 1)) if len(answers) > 1 else None,
        )


def _mean(each: Each | None, digits: int) -> str:
    if each is None:
        return ""
    error = (each.var() / len(each)).sqrt() if len(each) > 1 else torch.tensor(math.nan)
    said = f"{each.mean():.{digits}f}"
    return f"{said} ± {error:.{digits}f}" if error.isfinite() else said
