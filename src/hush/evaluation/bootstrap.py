"""How sure a number is that was measured on so many pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from hush.errors import UserError
from hush.rng import derive

_RESAMPLES = 1000
_HALVES = 100
_ENDS = 0.025, 0.975


def interval(
    values: Shaped[Tensor, " count *event"],
    statistic: Callable[[Tensor], Tensor | float] = torch.mean,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of `statistic` of what was measured on each picture.

    1000 times as many pictures are drawn with replacement; the ends are the 2.5 % and 97.5 %
    quantiles of the statistic. Compare two systems picture by picture: interval(ours - theirs).
    `values` may be whole maps, and the statistic their AUROC. One that grows as pictures repeat, as
    a Fréchet distance does, needs `ratio_interval`. Raises `UserError` for fewer than 2 pictures.
    Efron and Tibshirani 1993, "An introduction to the bootstrap", section 13.3.
    """
    count = len(values)
    if count < 2:
        raise UserError(f"interval got {count} pictures; expected 2 or more.")
    generator = torch.Generator().manual_seed(derive(seed, "interval"))
    drawn = torch.randint(count, (_RESAMPLES, count), generator=generator).to(values.device)
    found = [float(statistic(values[chosen])) for chosen in drawn]
    low, high = torch.tensor(found, dtype=torch.float64).quantile(torch.tensor(_ENDS).double())
    return float(low), float(high)


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, and what as many real records get in its place."""

    value: float
    interval: tuple[float, float]
    floor: float | None = None

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3g} ({low:.3g} to {high:.3g})"

    @property
    def apart(self) -> bool:
        """Whether the interval leaves out the floor."""
        low, high = self.interval
        return self.floor is not None and not low <= self.floor <= high


def halves(
    statistic: Callable[..., Tensor], counts: Sequence[int], seed: int = 0, resamples: int = _HALVES
) -> Float64[Tensor, "resample figure"]:
    """`statistic` of random halves of each set, drawn without replacement: it is given the indices
    of the half of each, for sets of these `counts`.

    A half of n records without replacement spreads a mean by σ²/(n/2) (1 - 1/2) = σ²/n, as much as
    the n themselves do, and no record comes twice, which would make a neighbour at distance 0. So
    it suits what counts neighbours, where drawing with replacement does not. McCarthy 1969,
    "Pseudo-replication: half samples"; Efron and Tibshirani 1993, "An introduction to the
    bootstrap", section 11.7 (the delete-d jackknife).
    """
    generator = torch.Generator().manual_seed(derive(seed, "halves"))

    def chosen(count: int) -> Tensor:
        return torch.randperm(count, generator=generator)[: count // 2]

    return torch.stack([statistic(*map(chosen, counts)).double() for _ in range(resamples)])


def about(
    value: float, drawn: Float64[Tensor, " resample"], ends: tuple[float, float] = (-inf, inf)
) -> tuple[float, float]:
    """The 95 % interval about a value, as wide as `drawn` is about its own mean, within `ends`."""
    quantiles = (drawn - drawn.mean()).quantile(torch.tensor(_ENDS).to(drawn))
    low, high = (value + quantiles).clamp(*ends).tolist()
    return low, high
