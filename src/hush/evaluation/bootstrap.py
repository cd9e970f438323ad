"""How sure a number is that was measured on so many pictures."""

from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor

from hush.errors import UserError
from hush.rng import derive

_RESAMPLES = 1000
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
