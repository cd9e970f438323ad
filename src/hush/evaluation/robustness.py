"""How often a classifier behind a defence is right: of clean pictures, of attacked ones, and of
ones attacked with the defence in mind."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from hush.errors import UserError
from hush.evaluation.attacks import Attack, Classify, Defence, Labels, Pictures
from hush.rng import Streams, derive


@dataclass(frozen=True)
class Share:
    """The share `value` of `count` pictures."""

    value: float
    count: int

    @property
    def error(self) -> float:
        """Its standard error, √(p (1 - p)/count)."""
        return math.sqrt(self.value * (1.0 - self.value) / self.count)

    def __str__(self) -> str:
        return f"{100.0 * self.value:.1f} ± {100.0 * self.error:.1f} %"


@dataclass(frozen=True)
class Robustness:
    """The shares of pictures that get their own class."""

    clean: Share
    grey_box: Share
    """Of pictures attacked by whom knows the classifier and not the defence."""
    adaptive: Share | None = None
    """Of pictures attacked by whom knows both; None where nobody has tried."""


def robustness(
    classifier: Classify,
    pictures: Pictures,
    labels: Labels,
    attack: Attack,
    defence: Defence | None = None,
    adaptive: Attack | None = None,
    seed: int = 0,
    runs: int = 1,
) -> Robustness:
    """Attack the pictures in [0, 1], without and if there is an `adaptive` attack with the defence
    in mind, and count what is read right; the defence draws anew where it is judged."""
    sets = [pictures, attack(classifier, pictures, labels, None, seed)]
    if adaptive:
        sets.append(adaptive(classifier, pictures, labels, defence, seed))
    return Robustness(*(right(classifier, one, labels, defence, seed, runs) for one in sets))


@torch.no_grad()
def right(
    classifier: Classify,
    pictures: Pictures,
    labels: Labels,
    defence: Defence | None = None,
    seed: int = 0,
    runs: int = 1,
) -> Share:
    """The share of pictures that get their own class, by the mean logits of so many `runs` of the
    defence."""
    if runs < 1:
        raise UserError(f"The defence is to run at least once, got runs {runs}.")
    rng = Streams.of(derive(seed, "judged"), len(pictures), device=pictures.device)
    views = (
        pictures if defence is None else defence(pictures, rng.branch(f"run {run}"))
        for run in range(runs)
    )
    guesses = sum(classifier(view) for view in views).argmax(1)
    return Share((guesses == labels.to(guesses.device)).double().mean().item(), len(pictures))


def gaussian_noise(deviation: float) -> Defence:
    """White noise of this standard deviation, in units of [0, 1]: what a purifier must be better
    than."""

    def defence(pictures: Pictures, rng: Streams) -> Pictures:
        noise = rng.normal(tuple(pictures.shape[1:]), pictures.dtype)
        return (pictures + deviation * noise).clamp(0.0, 1.0)

    return defence


def median_filter(size: int = 3) -> Defence:
    """The median of `size` x `size` pixels about each, of each channel, the edge repeated."""
    if size < 1 or size % 2 == 0:
        raise UserError(f"A median is about a pixel, so size is odd, got {size}.")

    def defence(pictures: Pictures, rng: Streams) -> Pictures:
        edge = size // 2
        padded = F.pad(pictures, (edge,) * 4, mode="replicate")
        around: Tensor = padded.unfold(2, size, 1).unfold(3, size, 1)
        return around.flatten(-2).median(-1).values

    return defence
